"""How Sphinx builds the documentation."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
os.environ.setdefault("KERAS_BACKEND", "jax")

import crested_like  # noqa: E402 - after the choice of a backend

project = "crested_like"
version = release = crested_like.__version__
html_title = f"crested_like {version}"
html_theme = "furo"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "model_cards",
    "generated",
    "weight_formats",
    "command_help",
]
myst_enable_extensions = ["colon_fence", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "benchmarks", "parity", "api/generated"]

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
maximum_signature_line_length = 90
napoleon_google_docstring = False
napoleon_attr_annotations = False  # types live in the signature
# "Returns" holds prose here: types live in the signature
napoleon_custom_sections = ["Returns"]
