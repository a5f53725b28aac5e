"""Configuration of Sphinx: ``sphinx-build -W --keep-going -b html docs docs/_build/html``."""

from __future__ import annotations

import sys
from pathlib import Path

from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.directives.code import CodeBlock

from txdicom import __version__
from txdicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE / "_ext"), str(_HERE.parent)]

project = "txdicom"
author = "The txdicom developers"
project_copyright = "The txdicom developers"
version = release = __version__

extensions = ["codetables", "pydoctor.sphinx_ext.build_apidocs"]
exclude_patterns = ["_build", "_ext", "listings"]
nitpicky = True
default_role = "literal"
highlight_language = "none"
smartquotes = False

rst_epilog = f"""
.. |project| replace:: {project}
.. |implementation-class-uid| replace:: {IMPLEMENTATION_CLASS_UID}
.. |implementation-version-name| replace:: {IMPLEMENTATION_VERSION_NAME}
"""

# The page of the program is its manual page as well: ``sphinx-build -b man docs docs/_build/man``.
man_pages = [("storescp", "storescp", "DICOM storage receiver run by twistd", [author], 1)]
man_show_urls = False

html_theme = "alabaster"
html_theme_options = {
    "description": "DICOM networking for Twisted",
    "page_width": "1180px",
    "body_max_width": "auto",
    "fixed_sidebar": True,
    "show_powered_by": False,
}
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False

pydoctor_args = [
    "--project-name=txdicom",
    f"--project-version={__version__}",
    "--project-url=../index.html",
    f"--project-base-dir={_HERE.parent}",
    "--docformat=restructuredtext",
    "--system-class=apisystem.System",
    "--cls-member-order=source",
    "--mod-member-order=source",
    "--html-output={outdir}/apidocs",
    f"{_HERE.parent}/txdicom",
]


def restoreDirectives(app: Sphinx) -> None:
    """Undo that pydoctor, which has just run, leaves directives of its own in the place of Sphinx's."""
    directives.register_directive("code-block", CodeBlock)


def setup(app: Sphinx) -> None:
    """Sphinx calls this when it has loaded the extensions."""
    app.connect("builder-inited", restoreDirectives, priority=600)
