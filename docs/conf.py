"""How Sphinx makes a site of the pages: `make docs`.

The source is the whole repository, so that every link between pages, in `docs/` and outside, is the same on the site as
in the files.
"""

import re

from lpjax.version import __version__

project = "lpjax"
author = "the lpjax contributors"
version = release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "lpjax/README.md",
    "experiments/**.md",
]
exclude_patterns = [".*", "build", "dist", "docs/_build", "runs"]

html_theme = "sphinx_book_theme"
html_title = "lpjax"
html_theme_options = {
    "navbar_persistent": [],  # the sidebar has the search
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
}
html_extra_path = ["_site"]  # index.html at the top leads to docs/index.html
html_static_path = ["_static"]
html_css_files = ["code.css"]
html_copy_source = False

myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_execution_excludepatterns = ["README.md"]

default_role = "code"  # docstrings put code between single backticks
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
napoleon_attr_annotations = False
autodoc_typehints = "none"  # docstrings say shapes, dtypes and ranges
python_maximum_signature_line_length = 80
nitpick_ignore_regex = [("py:.*", r"(?!lpjax\.).*")]  # names of other packages are not linked: nothing is fetched

_DEPARTURE = re.compile(r"Departs from [^:]*:")


def head_departures(app, what, name, obj, options, lines):
    """Give the sections "Departs from the paper:" of a docstring a heading; napoleon does not know them."""
    shown = []
    inside = False
    for line in lines:
        if _DEPARTURE.fullmatch(line):
            inside = True
            shown += [f".. rubric:: {line.removesuffix(':')}", ""]
            continue
        if inside and line and not line.startswith(" "):
            inside = False
        shown.append(line.strip() if inside else line)
    lines[:] = shown


def setup(app):
    """Connect the function above, ahead of napoleon."""
    app.connect("autodoc-process-docstring", head_departures, priority=400)
