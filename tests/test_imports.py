"""Imports point one way, and heavy packages stay where they belong."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("equations", "bsnn", "training", "analysis")
# What each folder may import of the project; cli.py alone may import everything.
ALLOWED = {
    "equations": {"equations"},
    "bsnn": {"equations", "bsnn"},
    "training": {"equations", "bsnn", "training"},
    "analysis": {"equations", "bsnn", "analysis"},
}
BRIAN2_FILES = {
    "brian2_files.py",
    "codeobject.py",
    "cuda_program.py",
    "network.py",
    "program.py",
    "projection.py",
    "stock.py",
}


def modules():
    return [
        pytest.param(folder, path, id=str(path.relative_to(ROOT)))
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def imported(folder, path):
    """Absolute names of everything a file imports, at any depth."""
    inner = path.parent.relative_to(ROOT / folder).parts
    package = ".".join(dict.fromkeys(("bsnn", folder, *inner)))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = (
                    package.rsplit(".", node.level - 1)[0]
                    if node.level > 1
                    else package
                )
                name = f"{base}.{node.module}" if node.module else base
            else:
                name = node.module
            yield from (f"{name}.{alias.name}" for alias in node.names)


def home(name):
    parts = name.split(".")
    if parts[0] != "bsnn":
        return None
    return (
        parts[1] if len(parts) > 1 and parts[1] in FOLDERS[:1] + FOLDERS[2:] else "bsnn"
    )


@pytest.mark.parametrize(("folder", "path"), modules())
def test_imports_point_one_way(folder, path):
    if path.name == "cli.py":
        return
    for name in imported(folder, path):
        assert home(name) in ALLOWED[folder] | {None}, f"{path} imports {name}"


@pytest.mark.parametrize(("folder", "path"), modules())
def test_heavy_packages_stay_where_they_belong(folder, path):
    for name in imported(folder, path):
        package = name.split(".")[0]
        if package == "torch":
            assert folder == "training", f"{path} imports torch"
        if package == "matplotlib":
            where = ROOT / "analysis" / "figures"
            assert path.parent == where, f"{path} imports matplotlib"
        if package == "brian2" and not name.startswith("brian2.units"):
            assert folder == "equations" or path.name in BRIAN2_FILES, (
                f"{path} imports {name}"
            )


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, bsnn, bsnn.analysis;"
        "print([m for m in ('brian2', 'torch', 'matplotlib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_what_draws_nothing_loads_no_figures():
    # Brian2 imports matplotlib for itself, so that is no sign.
    code = (
        "import sys;"
        "from bsnn.analysis import Measurement, console_table, read_sweep;"
        "from bsnn.analysis.study import one_neuron, published;"
        "print([m for m in sys.modules if m.startswith('bsnn.analysis.figures')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_the_analysis_does_not_simulate():
    simulators = ("event", "grid", "stock", "cuda", "simulator", "one_neuron")
    refused = {f"bsnn.{name}" for name in simulators}
    for path in (ROOT / "analysis").rglob("*.py"):
        for name in imported("analysis", path):
            assert name not in refused, f"{path} imports {name}"
            assert name.rpartition(".")[0] not in refused, f"{path} imports {name}"


def test_nothing_imports_the_command_line():
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "__main__.py":
                assert "bsnn.cli.main" not in set(imported(folder, path))
                assert "bsnn.cli.run" not in set(imported(folder, path))


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
