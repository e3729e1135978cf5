"""Imports point one way and in no circle, and heavy packages stay where they belong."""

import ast
import configparser
import graphlib
import itertools
import os
import subprocess
import sys
from importlib.util import resolve_name
from pathlib import Path, PurePath

import pytest

from tests.project.fresh import loaded

ROOT = Path(__file__).parents[2]
FOLDERS = ("equations", "bsnn", "training", "analysis")
# What each folder or file may import of the project, besides its own row; a folder
# stands for all below it, FOLDER/*.py for the files in it alone. The longest row that a
# file's path begins with holds for it.
FILES = "bsnn/*.py"
MAY_IMPORT = {
    "equations": [],
    "bsnn": ["equations", "bsnn/processes"],
    "bsnn/network.py": ["equations", "bsnn/processes", FILES, "bsnn/from_brian2"],
    "bsnn/chain.py": ["equations", FILES],
    "bsnn/from_brian2": ["equations", FILES],
    "bsnn/__init__.py": [
        "equations",
        FILES,
        "bsnn/inputs",
        "bsnn/interchange",
        "bsnn/simulators",
        "analysis/figures",
    ],
    "bsnn/__main__.py": ["bsnn/cli"],
    "bsnn/run_settings.py": ["equations", FILES, "bsnn/inputs"],
    "bsnn/settings.py": ["equations", FILES, "bsnn/inputs"],
    "bsnn/network_settings.py": ["equations", FILES, "bsnn/inputs"],
    "bsnn/model_file.py": ["equations", FILES, "bsnn/inputs"],
    "bsnn/runs.py": [FILES, "bsnn/interchange"],
    "bsnn/interchange": ["equations", FILES, "bsnn/inputs"],
    "bsnn/processes": [FILES],
    "bsnn/inputs": ["equations", FILES, "bsnn/processes"],
    "bsnn/program": ["equations", FILES, "bsnn/processes"],
    "bsnn/targets": ["equations", FILES, "bsnn/processes", "bsnn/program"],
    "bsnn/simulators": [
        "equations",
        FILES,
        "bsnn/processes",
        "bsnn/inputs",
        "bsnn/program",
        "bsnn/targets",
    ],
    "bsnn/cli": FOLDERS,
    "training": ["equations", "bsnn"],
    "training/experiments": ["equations", "bsnn", "training"],
    "training/bench": ["equations", "bsnn", "training"],
    "analysis": ["equations", "bsnn"],
}
# What only these may import, besides what lies in it.
ONLY_BY = {
    "bsnn/cli": ["bsnn/__main__.py"],
    "bsnn/simulators/choose.py": ["bsnn/__init__.py", "training"],
}
# Who may import a heavy package, at any depth; of brian2, the units are free.
HEAVY = {
    "brian2": [
        "equations",
        "bsnn/from_brian2",
        "bsnn/processes/brian2_files.py",
        "bsnn/program",
        "bsnn/targets",
        "bsnn/simulators/stock.py",
        "bsnn/simulators/stock_network.py",
    ],
    "brian2cuda": ["bsnn/targets/cuda/target.py"],
    "torch": ["training"],
    "matplotlib": ["analysis/figures"],
}


def modules(root):
    """Return the file of each module, by name, in the packages that setup.cfg lists."""
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    homes = dict(
        line.split(" = ") for line in config["options"]["package_dir"].split("\n")[1:]
    )
    found = {}
    for package in config["options"]["packages"].split():
        top = max((home for home in homes if within(package, home, ".")), key=len)
        folder = root / homes[top] / package[len(top) :].replace(".", "/").strip("/")
        for path in folder.glob("*.py"):
            name = package if path.stem == "__init__" else f"{package}.{path.stem}"
            found[name] = path
    return found


def within(path, folder, separator="/"):
    return f"{path}{separator}".startswith(f"{folder}{separator}")


def imported(module, path):
    """Yield the absolute name of all a file imports, at any depth, as it is spelled.

    What is imported from a module comes after a colon.
    """
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{base}:{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOME":
            homes = ast.literal_eval(node.value)  # names that are imported when used
            yield from (
                f"{resolve_name(home, package)}:{name}" for name, home in homes.items()
            )


def arrows(root):
    """Return the files of the project that each of its files imports."""
    known = modules(root)
    found = {}
    for module, path in known.items():
        targets = found[path.relative_to(root).as_posix()] = set()
        for name in imported(module, path):
            if not within(name.replace(":", "."), "bsnn", "."):
                continue
            base = name.partition(":")[0]
            assert base in known, f"{path} imports {base}, which is not there"
            target = known.get(name.replace(":", "."), known[base])
            targets.add(target.relative_to(root).as_posix())
    return found


def row(path):
    return max((row for row in MAY_IMPORT if within(path, row)), key=len)


def may_import(path, target):
    for private, importers in ONLY_BY.items():
        if within(target, private) and not within(path, private):
            if not any(within(path, importer) for importer in importers):
                return False
    return row(target) == row(path) or any(
        PurePath(target).match(name) if "*" in name else within(target, name)
        for name in MAY_IMPORT[row(path)]
    )


def find_circle(arrows):
    """Return the files of a circle, the first one again at its end; [] without any."""
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


@pytest.fixture(scope="module")
def tree():
    return arrows(ROOT)


def test_every_file_is_looked_at(tree):
    there = {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
    }
    assert there <= set(tree), "a package is missing in setup.cfg"


def test_imports_point_one_way(tree):
    wrong = [
        f"{path} imports {target}"
        for path, targets in tree.items()
        for target in targets
        if not may_import(path, target)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_circle(tree):
    circle = find_circle(tree)
    assert not circle, " -> ".join(circle)


def test_heavy_packages_stay_where_they_belong():
    wrong = []
    for module, path in modules(ROOT).items():
        file = path.relative_to(ROOT).as_posix()
        for name in imported(module, path):
            package = name.partition(":")[0].partition(".")[0]
            if package not in HEAVY or name.startswith("brian2.units"):
                continue
            if not any(within(file, allowed) for allowed in HEAVY[package]):
                wrong.append(f"{file} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_tables_name_what_is_there():
    rows = MAY_IMPORT.values(), ONLY_BY.values(), HEAVY.values()
    for name in {*MAY_IMPORT, *ONLY_BY}.union(*itertools.chain(*rows)):
        assert any(ROOT.glob(name)), f"{name} is not there; remove it from the table"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("from . import b", "bsnn/b.py"),
        ("from .b import c", "bsnn/b.py"),
        ("import bsnn.b", "bsnn/b.py"),
        ("def f():\n    from bsnn.sub import e", "bsnn/sub/e.py"),
        ("def f():\n    import bsnn.sub.e as x", "bsnn/sub/e.py"),
        ("from .sub import name", "bsnn/sub/__init__.py"),
        ("_HOME = {'name': '.sub.e'}", "bsnn/sub/e.py"),
    ],
)
def test_an_import_is_seen_however_it_is_written(text, target, tmp_path):
    (tmp_path / "setup.cfg").write_text(
        "[options]\npackages =\n  bsnn\n  bsnn.sub\npackage_dir =\n  bsnn = bsnn\n"
    )
    (tmp_path / "bsnn" / "sub").mkdir(parents=True)
    for name in ("__init__", "b", "sub/__init__"):
        (tmp_path / "bsnn" / f"{name}.py").touch()
    (tmp_path / "bsnn" / "a.py").write_text(text)
    (tmp_path / "bsnn" / "sub" / "e.py").write_text("from bsnn.a import f")
    found = arrows(tmp_path)
    assert found["bsnn/a.py"] == {target}
    assert bool(find_circle(found)) == (target == "bsnn/sub/e.py")


@pytest.mark.parametrize("package", ["bsnn", "training", "analysis"])
def test_editors_see_the_names_that_load_when_they_are_used(package):
    tree = ast.parse((ROOT / package / "__init__.py").read_text())
    (shown,) = [node for node in tree.body if isinstance(node, ast.If)]
    names = {
        alias.asname: "." * node.level + (node.module or alias.name)
        for node in shown.body
        for alias in node.names
    }
    (home,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOME"
    ]
    assert names == home


def test_importing_the_package_loads_nothing_heavy():
    assert loaded("import bsnn, bsnn.analysis, bsnn.training") == []


def test_the_analysis_does_not_simulate(tree):
    for path, targets in tree.items():
        for folder in ("bsnn/program", "bsnn/targets", "bsnn/simulators"):
            used = [target for target in targets if within(target, folder)]
            assert not (within(path, "analysis") and used), f"{path} imports {used}"


def test_commands_that_draw_nothing_import_no_matplotlib():
    code = (
        "from bsnn.processes.brian2_files import import_brian2; import_brian2();"
        "from bsnn.analysis import Measurement, console_table, read_sweep;"
        "import bsnn.cli.main, bsnn.training.experiments.sweep;"
        "import bsnn.training.experiments.evaluation, bsnn.training.bench.cpu;"
        "import bsnn.training.experiments.loop"
    )
    assert loaded(code, ("matplotlib", "pylab")) == []


@pytest.mark.parametrize(("given", "expected"), [("", "passive"), ("active",) * 2])
def test_idle_threads_sleep_unless_told_otherwise(given, expected):
    env = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    if given:
        env["OMP_WAIT_POLICY"] = given
    code = "import bsnn, os; print(os.environ['OMP_WAIT_POLICY'])"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env
    )
    assert run.stdout.strip().lower() == expected
