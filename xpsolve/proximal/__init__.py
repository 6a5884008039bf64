"""Iterations for f + R that use a proximal map of R or of its parts."""
