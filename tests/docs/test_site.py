"""The site as it is built, with nothing run on the way, and one of its notebooks."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BESIDE = ("examples", "equations", "CHANGELOG.md", "CONTRIBUTING.md")
LEFT = ("gallery", "generated")  # by builds in the checkout

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build a copy of the pages; return the sources and the build's result."""
    for package in ("sphinx_gallery", "myst_nb", "numpydoc", "furo"):
        pytest.importorskip(package, reason="needs the extra 'docs'")
    folder = tmp_path_factory.mktemp("site")
    ignored = shutil.ignore_patterns(*LEFT)
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=ignored)
    for name in BESIDE:
        (folder / name).symlink_to(ROOT / name)
    command = ["-m", "sphinx", "-q", "--fail-on-warning", "--keep-going", "-t", "still"]
    built = subprocess.run(
        [sys.executable, *command, folder / "docs", folder / "html"],
        capture_output=True,
        text=True,
    )
    return folder, built


def test_the_site_has_no_warnings(site):
    _, built = site
    assert built.returncode == 0, built.stderr


def test_formulas_keep_their_lines(site):
    folder, _ = site
    pages = [*folder.glob("html/reference/generated/*.html")]
    assert len(pages) > 60
    quoted = [page.stem for page in pages if "<blockquote" in page.read_text()]
    assert not quoted, f"let '::' precede the indented lines of {', '.join(quoted)}"


@pytest.mark.cpp
def test_a_notebook_runs(site, tmp_path):
    nbclient, nbformat = (
        pytest.importorskip("nbclient"),
        pytest.importorskip("nbformat"),
    )
    folder, _ = site
    notebook = nbformat.read(folder / "docs" / "gallery" / "learned_delays.ipynb", 4)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python"}
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    printed = "".join(o.text for o in outputs if o.output_type == "stream")
    assert "test: 100.0 % right" in printed
    assert any("image/png" in output.get("data", {}) for output in outputs)
