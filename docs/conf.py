# SPDX-License-Identifier: Apache-2.0

"""Configuration of the documentation: Sphinx, with the reference taken from the docstrings."""

import sys
from pathlib import Path

import nova_sqlcore

sys.path.insert(0, str(Path(__file__).parent))

project = "nova-sqlcore"
release = nova_sqlcore.__version__
author = "the nova-sqlcore authors"
project_copyright = "the nova-sqlcore authors, Apache-2.0"
extensions = ["sphinx.ext.autodoc", "statement_table", "reference_directives"]
python_maximum_signature_line_length = 88
html_theme = "furo"
html_title = "nova-sqlcore"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
nitpicky = False
