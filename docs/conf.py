"""How Sphinx builds the site: `make docs`. With the tag "still" nothing is run."""

import os
import sys
from importlib import metadata
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "extensions"))

import gallery  # noqa: E402

project = "bsnn"
version = release = metadata.version(project)
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.programoutput",
    "gallery",
]
exclude_patterns = ["templates", "static", "extensions", "gallery/*.ipynb"]
templates_path = ["templates"]

# What cells and commands of the pages find and leave: runs of their own.
WORK = DOCS.parent / "build" / "docs-work"
WORK.mkdir(parents=True, exist_ok=True)
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)
os.environ["COLUMNS"] = "80"  # of --help
os.environ["TQDM_DISABLE"] = "1"

# Pages: Markdown, whose cells are run in a kernel of their own for each page.
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off" if tags.has("still") else "force"  # noqa: F821
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"
programoutput_prompt_template = "$ {command}\n{output}"
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = "$ "

# Docstrings.
default_role = "py:obj"
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc says them
autodoc_preserve_defaults = True  # as they are written
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
numpydoc_show_class_members = False

sphinx_gallery_conf = gallery.SETTINGS
plot_gallery = str(not tags.has("still"))  # noqa: F821

html_theme = "furo"
html_title = "bsnn"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = html_show_sphinx = False
