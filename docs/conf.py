"""Sphinx builds the site from this folder: `make docs`.

What was chosen, and why:

- pydata-sphinx-theme and numpydoc, because readers know them from NumPy, SciPy and scikit-learn.
- MyST for the pages, which are then readable where the repository is browsed, too.
- The gallery is made by `_ext/gallery.py` and not by sphinx-gallery: its figures are those of `xpsolve figures` and of
  the reports, drawn by the same code, with the titles and descriptions that stand there.
- MathJax as one file that a package brings, which draws formulas as SVG and needs no font: the site opens from disk,
  and neither building nor reading it needs a network.  MathML of the browsers would need no script, but its look
  depends on the reader's fonts, and the converters for Python place limits below operators wrongly.
"""

import sys
from importlib.metadata import files
from pathlib import Path

import xpsolve

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "xpsolve"
author = "the xpsolve developers"
project_copyright = author
version = release = xpsolve.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "docstrings",
    "gallery",
    "links",
    "tables",
]
exclude_patterns = ["_ext", "_static", "_templates"]
templates_path = ["_templates"]
nitpicky = True

# --- pages
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath", "smartquotes"]
myst_heading_anchors = 3
default_role = "autolink"  # `name` in a docstring: a link where there is such an object, else in italics

# --- reference
autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say what is expected, with shapes and units
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
python_use_unqualified_type_names = True
add_module_names = False
modindex_common_prefix = ["xpsolve."]

# --- HTML
html_theme = "pydata_sphinx_theme"
html_title = "xpsolve"
html_static_path = [
    "_static",
    *(str(file.locate()) for file in files("sphinx-mathjax-offline") if file.name == "tex-svg.js"),
]
mathjax_path = "tex-svg.js"
mathjax3_config = {"svg": {"scale": 0.9}}
html_css_files = ["site.css"]
html_theme_options = {
    "logo": {"text": "xpsolve"},
    "show_prev_next": True,
    "navigation_with_keys": False,
    "navbar_end": ["navbar-icon-links"],  # light or dark follows the reader's system, as the figures do
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
}
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp, .go"
