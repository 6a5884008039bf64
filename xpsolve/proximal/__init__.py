"""Floor 3: iterations for f + R, with a proximal map of R or of its parts."""
