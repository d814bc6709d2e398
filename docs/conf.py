"""Sphinx: Markdown by MyST, the furo theme, warnings as errors (``make docs``)."""

from tocsin import __version__

project = "tocsin"
author = "the tocsin contributors"
project_copyright = author
release = version = __version__
extensions = ["myst_parser", "sphinx_copybutton"]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"tocsin {__version__}"
html_copy_source = False
