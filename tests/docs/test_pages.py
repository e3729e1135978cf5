"""The site's pages: what they name is there, and what they show is run."""

import ast
import configparser
import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest

from bsnn.cli.arguments import make_parser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Of the package's own: users name a time rule by its word.
INTERNAL = ("bsnn.equations.time_rules",)
PAGES = [*sorted(DOCS.glob("guide/*.md")), *DOCS.glob("reference/*.md")]
SHOWN = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", DOCS / "built.md"]


def public_names():
    """Return the full names of all that a package's `__all__` names."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return [
        f"{package}.{name}"
        for package in config["options"]["packages"].split()
        if package not in INTERNAL
        for name in getattr(importlib.import_module(package), "__all__", ())
    ]


def reference_names():
    """Return the full names in the lists of the reference."""
    found = []
    for page in DOCS.glob("reference/*.md"):
        for block in re.findall(r"```\{eval-rst\}\n(.*?)```", page.read_text(), re.S):
            module = re.search(r"currentmodule:: (\S+)", block)[1]
            names = re.findall(r"^   (\w+)$", block, re.M)
            found += [f"{module}.{name}" for name in names]
    return found


def named(full):
    module, _, name = full.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_no_public_name_is_missing_in_the_reference():
    pages = {
        f"bsnn.{name}" for name in ("patterns", "interchange")
    }  # modules, whose names are
    shown = {id(named(name)) for name in reference_names()}
    missing = [
        n for n in public_names() if n not in pages and id(named(n)) not in shown
    ]
    assert not missing, f"add to docs/reference: {', '.join(missing)}"
    assert len(public_names()) > 60


def test_the_names_of_a_module_are_in_the_reference():
    for module in ("bsnn.patterns", "bsnn.errors"):
        there = {
            name
            for name, value in vars(importlib.import_module(module)).items()
            if getattr(value, "__module__", None) == module and name[0] != "_"
        }
        shown = {
            named(n).__name__ for n in reference_names() if is_of(named(n), module)
        }
        assert there == shown


def is_of(thing, module):
    return getattr(thing, "__module__", None) == module


@pytest.mark.parametrize("full", reference_names())
def test_a_public_name_has_a_docstring_that_knows_its_parameters(full):
    thing = named(full)
    text = inspect.getdoc(thing) or ""
    assert text and text.splitlines()[0].endswith((".", ":")), f"{full}: {text[:80]!r}"
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return
    given = [
        name
        for name, parameter in inspect.signature(thing).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and name[0] != "_"
    ]
    if "Parameters\n" in text:
        section = re.search(r"Parameters\n-+\n(.*?)(\n\n\w+\n---|\Z)", text, re.S)[1]
        said = re.findall(r"^(\w[\w, ]*?)(?: :.*)?$", section, re.M)
        said = [name for line in said for name in line.split(", ")]
        assert [n for n in given if n not in said] == [], f"{full} does not explain"


def test_every_command_has_its_section():
    text = (DOCS / "guide" / "commands.md").read_text()
    for command in subcommands():
        assert f"## bsnn {command}\n" in text
        assert f"```{{command-output}} bsnn {command} --help\n" in text


def subcommands():
    (choices,) = [a.choices for a in make_parser()._actions if a.choices]
    return choices


def commands_of(page):
    """Yield what follows `bsnn` in each command that a page shows."""
    text = page.read_text()
    yield from re.findall(r"\{command-output\} bsnn (.*)", text)
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        lines = block.replace("\\\n", " ").splitlines()
        yield from (line[5:] for line in lines if line.startswith("bsnn "))


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_commands_of_a_page_are_ones_that_bsnn_takes(page):
    for command in commands_of(page):
        words = shlex.split(command, comments=True)
        if "--help" not in words:
            make_parser().parse_args(words)


def test_options_say_their_defaults():
    # Those that are not there unless they are given.
    without = {"--model", "--scheduler", "--against", "--initial-mean", "--slope-min"}
    silent = [
        f"{command} {action.option_strings[-1]}"
        for command, parser in subcommands().items()
        for action in parser._actions
        if action.option_strings
        and action.nargs != 0
        and not action.required
        and action.option_strings[-1] not in without
        and "default:" not in action.help
    ]
    assert not silent, f"say the default of {', '.join(silent)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_of_a_page_is_run_when_the_site_is_built(page):
    languages = re.findall(r"^```(\S+)", page.read_text(), re.M)
    assert "python" not in languages, f"make it a {{code-cell}} in {page.name}"


def test_every_example_has_a_row():
    tree = ast.parse((DOCS / "extensions" / "gallery.py").read_text())
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    rows = [ast.literal_eval(key) for key in values["EXAMPLES"].keys]
    rows += ast.literal_eval(values["WITHOUT_PAGE"])
    there = [path.name for path in sorted((ROOT / "examples").glob("*.py"))]
    assert sorted(rows) == there


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_words_of_the_glossary_are_there(page):
    glossary = (DOCS / "guide" / "glossary.md").read_text()
    for word in re.findall(r"\{term\}`([^`<]+)`", page.read_text()):
        assert re.search(rf"^{word}", glossary, re.M)
