"""How Sphinx builds these pages (``bin/test`` does, with warnings as errors and no network)."""

from __future__ import annotations

import kombu_green

project = "kombu_green"
author = "kombu_green contributors"
copyright = "2026, kombu_green contributors"
release = version = kombu_green.__version__

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "kombu_green"
html_show_sourcelink = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
