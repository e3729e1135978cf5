"""What pip installs by itself runs: requirements, the wheel, the README's example."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
PACKAGES = {"analysis": "bsnn/analysis", "bsnn": "bsnn", "equations": "bsnn/equations"}
PACKAGES["training"] = "bsnn/training"
# Releases of Brian2, the Pythons that pip installs them on, and the numpy that they run
# with: before 2.10 they call ndarray.ptp, 2.11 is built for numpy 2.3.
BRIAN2 = {
    "2.7.1": (">=3.10", "<2.3"),
    "2.8.0": (">=3.10", "<2.4"),
    "2.9.0": (">=3.11", "<2.4"),
    "2.10.1": (">=3.12", ">=2"),
    "2.11.0": (">=3.13", ">=2.3"),
}
NUMPY = ("1.23.5", "1.26.4", "2.0.2", "2.1.3", "2.2.6", "2.3.5", "2.4.0", "2.5.5")
OLDEST_TRIED = "2.8.0"


def setup_options():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def lines(section, option):
    text = setup_options()[section][option].strip()
    return [line for line in text.splitlines() if not line.startswith("#")]


def pythons():
    pattern = re.compile(r"Programming Language :: Python :: (3\.\d+)")
    found = [pattern.fullmatch(line) for line in lines("metadata", "classifiers")]
    return [match[1] for match in found if match]


def accepted(requirements, python, name):
    """Return the set of versions that requirements leave of a package."""
    found = SpecifierSet()
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if requirement.name.lower() == name and (
            marker is None or marker.evaluate({"python_version": python})
        ):
            found &= requirement.specifier
    return found


def broken_pairs(requirements, python):
    """Return the pairs of versions that pip may choose and that do not run."""
    brian2, numpy = (accepted(requirements, python, n) for n in ("brian2", "numpy"))
    there = [v for v, (suits, _) in BRIAN2.items() if python in SpecifierSet(suits)]
    chosen = [version for version in there if version in brian2]
    assert chosen, f"no Brian2 for Python {python}"
    return [
        (version, other)
        for version in chosen
        for other in NUMPY
        if other in numpy and other not in SpecifierSet(BRIAN2[version][1])
    ]


@pytest.mark.parametrize("python", pythons())
def test_no_broken_pair_can_be_chosen(python):
    requirements = lines("options", "install_requires")
    assert broken_pairs(requirements, python) == []
    # Whatever comes after what has been tried is not chosen by itself.
    brian2 = accepted(requirements, python, "brian2")
    assert "2.12.0" not in brian2 and "3.0" not in brian2
    # The pins of the constraints lie within.
    pins = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [pin for pin in pins if not pin.startswith("#")]
    (pin,) = accepted(pins, python, "brian2")
    assert pin.operator == "==" and pin.version in brian2
    assert python in SpecifierSet(BRIAN2[pin.version][0])


@pytest.mark.parametrize(
    ("requirements", "pair"),
    [
        (["brian2>=2.8", "numpy"], ("2.9.0", "2.4.0")),
        (["brian2>=2.7", "numpy<2.4"], ("2.7.1", "2.3.5")),
    ],
)
def test_a_broken_pair_is_found(requirements, pair):
    assert pair in broken_pairs(requirements, "3.11")


def test_every_python_that_is_let_in_is_named_and_tried():
    requires = SpecifierSet(setup_options()["options"]["python_requires"])
    let_in = [f"3.{minor}" for minor in range(30) if f"3.{minor}" in requires]
    assert let_in == pythons()
    assert f"3.{sys.version_info.minor}" in let_in


def test_requirements_are_imported_and_imports_are_required():
    imports = set()
    for folder in PACKAGES:
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text("utf-8")
            imports |= set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.M))
    third = imports - sys.stdlib_module_names - {"bsnn"}
    optional = {"aeon", "brian2cuda", "distributed", "h5py", "neo", "nir", "pynwb"}
    optional |= {"quantities"}  # of neo
    peers = {"jax", "optax", "spyx", "flax", "snntorch", "norse", "spikingjelly"}
    names = {Requirement(r).name for r in lines("options", "install_requires")}
    assert third - optional - peers == names


# --- the wheel, in an environment that holds nothing else


def run(*command, **options):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        env={**environment, **options.pop("env", {})},
        **options,
    )


def readme_example():
    text = (ROOT / "README.md").read_text("utf-8")
    return re.search(r"## Sixteen lines\n\n```python\n(.*?)```", text, re.S)[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy of the tree, without what earlier builds left."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in (*PACKAGES, "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    assert run(sys.executable, "-m", "venv", folder / "bare").returncode == 0
    pip = (folder / "bare" / "bin" / "python", "-m", "pip")
    built = run(*pip, "wheel", "--no-deps", "-w", folder, source)
    if built.returncode:
        if "No matching distribution found for setuptools" in built.stderr:
            pytest.skip("pip reaches no package index")
        pytest.fail(built.stderr)
    (path,) = folder.glob("bsnn-*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_holds_the_tree_and_nothing_else(wheel):
    expected = {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, package in PACKAGES.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert any(name.endswith(".cu") for name in expected)
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    assert names == expected


def test_the_readme_counts_its_lines():
    assert len([line for line in readme_example().splitlines() if line]) == 16


@pytest.mark.cpp
@pytest.mark.slow
def test_what_pip_chooses_runs_the_readme(wheel, tmp_path):
    """Only torch is held, at the version here: the newest brings gigabytes of CUDA."""
    python = wheel.parent / "bare" / "bin" / "python"
    held = tmp_path / "held.txt"
    held.write_text(f"torch=={metadata.version('torch').partition('+')[0]}\n")
    installed = run(python, "-m", "pip", "install", "--no-compile", "-c", held, wheel)
    assert installed.returncode == 0, installed.stderr
    assert run(python, "-m", "pip", "check").stdout == "No broken requirements found.\n"

    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("queue", "random", "equations", "bsnn"):
        (foreign / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    script = tmp_path / "example.py"
    script.write_text(readme_example(), "utf-8")
    cache = {"BSNN_CACHE": str(tmp_path / "cache")}
    example = run(python, script, cwd=foreign, env=cache)
    assert example.returncode == 0, example.stderr
    accuracy = re.fullmatch(r"([\d.]+) % right\n", example.stdout)
    assert float(accuracy[1]) > 70, example.stdout

    bsnn = python.with_name("bsnn")
    sweep = "sweep digits --dt-ms 4 --epochs 1 --n-train 40 --n-test 20 --out out"
    swept = run(bsnn, *sweep.split(), cwd=foreign, env=cache)
    assert swept.returncode == 0, swept.stderr
    drawn = run(bsnn, "report", "out", cwd=foreign, env=cache)
    assert drawn.returncode == 0, drawn.stderr
