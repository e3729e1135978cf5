"""Every place that names the version names the same one."""

import re
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import pytest

from bsnn.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def version():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return setup["metadata"]["version"]


def test_the_command_tells_its_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"bsnn {metadata.version('bsnn')}\n"


def test_citation_is_of_this_version(version):
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.M)[1] == version


def test_changelog_begins_with_this_version_and_its_date(version):
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.*)\](?: - (\S+))?$", changelog, re.M)
    assert headings[0] == ("Unreleased", "") and headings[1][0] == version
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^date-released: (.*)$", citation, re.M)[1] == headings[1][1]
