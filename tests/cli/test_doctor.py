"""The doctor, on machines made of stand-in programs and packages."""

import importlib.metadata
import os
import sys
import time

import pytest

from bsnn.cli import doctor
from bsnn.cli.main import main
from bsnn.inputs.image_files import IMAGE_SETS

PACKAGES = ("brian2", "numpy", "torch")
OPTIONAL = {
    "mnist",
    "emnist",
    "fashion-mnist",
    "brian2cuda",
    "nvcc",
    "GPU",
    "curand headers",
    "torch on the GPU",
}


class Machine:
    """A machine with quick stand-ins for the packages and no programs of its own."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.programs, self.modules = folder / "bin", folder / "modules"
        for path in (self.programs, self.modules):
            path.mkdir()
        for name in PACKAGES:
            self.module(name, "")
        monkeypatch.setenv("PYTHONPATH", str(self.modules))
        monkeypatch.setenv("BSNN_CACHE", str(folder / "cache"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "xdg"))
        for name in ("BSNN_DATA", "CXX", "CUDA_HOME", "CUDA_PATH"):
            monkeypatch.delenv(name, raising=False)

    def module(self, name, code):
        (self.modules / f"{name}.py").write_text(code)

    def program(self, name, script):
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def examine(self, *args, **options):
        return {check.name: check for check in doctor.examine(*args, **options)}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine that finds the real programs after its own."""
    made = Machine(tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", f"{made.programs}:{os.environ['PATH']}")
    return made


@pytest.fixture
def bare_machine(tmp_path, monkeypatch):
    """A machine that has only the programs given to it."""
    made = Machine(tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", str(made.programs))
    return made


@pytest.mark.cpp
def test_this_machine_can_run_bsnn(tmp_path, monkeypatch):
    monkeypatch.setenv("BSNN_CACHE", str(tmp_path))
    checks = doctor.examine()
    found = {check.name: check.found for check in checks}
    assert doctor.usable(checks), doctor.render(checks)
    for name in PACKAGES:
        assert found[name] == importlib.metadata.version(name)
    assert found["Python"].endswith(sys.executable)
    assert found["build cache"].startswith(str(tmp_path))
    assert {check.name for check in checks if not check.required} == OPTIONAL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.cpp
def test_a_package_that_does_not_import_is_a_failure(machine):
    machine.module("torch", "raise ImportError('libcudart.so: no such file')")
    checks = machine.examine()
    torch = checks["torch"]
    assert not torch.ok
    assert torch.found.endswith("ImportError: libcudart.so: no such file")
    assert "pip install --force-reinstall torch" in torch.remedy
    assert not doctor.usable(checks.values())
    assert [c.name for c in checks.values() if c.required and not c.ok] == ["torch"]


def test_a_package_that_hangs_does_not_hang_the_doctor(machine):
    machine.module("brian2", "import time; time.sleep(60)")
    start = time.monotonic()
    assert "no answer within 2 s" in machine.examine(timeout=2)["brian2"].found
    assert time.monotonic() - start < 30


REQUIRES = [
    "brian2>=2.8,<2.10; python_version >= '3'",
    "brian2>=3; python_version < '3'",
    "numpy<2.4",
    "numpy<1; extra == 'old'",
    "torch",
]


@pytest.mark.parametrize(
    ("name", "version", "needed"),
    [
        ("brian2", "2.7.1", "brian2<2.10,>=2.8"),
        ("brian2", "2.8", None),
        ("brian2", "2.9.0", None),
        ("brian2", "2.10", "brian2<2.10,>=2.8"),
        ("numpy", "2.3.9", None),
        ("numpy", "2.4.0", "numpy<2.4"),
    ],
)
def test_versions_are_those_that_bsnn_requires(
    bare_machine, monkeypatch, name, version, needed
):
    monkeypatch.setattr("importlib.metadata.requires", {"bsnn": REQUIRES}.get)
    folder = bare_machine.modules / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(bare_machine.modules)
    check = bare_machine.examine()[name]
    assert (check.found, check.ok) == (version, needed is None)
    assert needed is None or check.remedy == f"pip install '{needed}'"


def test_a_checkout_that_is_not_installed_is_examined(bare_machine, monkeypatch):
    def requires(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr("importlib.metadata.requires", requires)
    assert bare_machine.examine()["numpy"].ok


def test_a_bare_machine_is_told_what_to_install(bare_machine):
    checks = bare_machine.examine()
    assert not checks["C++ compiler"].ok
    assert "apt install g++ make" in checks["C++ compiler"].remedy
    assert (checks["GPU"].ok, checks["GPU"].found) == (False, "none")
    for name in OPTIONAL:
        assert checks[name].ok or len(checks[name].remedy) > 10
    failures = [c.name for c in checks.values() if c.required and not c.ok]
    assert failures == ["C++ compiler"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'fatal error: vector: No such file'; exit 1", "vector: No such file"),
        # A compiler whose programs do not run: the last argument is the output.
        (
            'for last; do :; done; printf "#!/bin/sh\\nexit 3" > $last; '
            "/bin/chmod +x $last",
            "exit status 3",
        ),
        # As in a folder that forbids running programs.
        ("for last; do :; done; : > $last", "Permission denied"),
    ],
)
def test_a_compiler_must_make_programs_that_run(bare_machine, script, reason):
    version = 'if [ "$1" = --version ]; then echo g++ 1.0; exit; fi'
    bare_machine.program("g++", f"{version}\n{script}")
    bare_machine.program("make", "echo GNU Make 4.0")
    check = bare_machine.examine()["C++ compiler"]
    assert not check.ok
    assert check.found.startswith("g++ 1.0, GNU Make 4.0 makes no program that runs: ")
    assert reason in check.found
    assert "BSNN_CACHE" in check.remedy


def test_a_cache_that_cannot_be_written_is_a_failure(bare_machine, monkeypatch):
    bare_machine.program("g++", "exit 0")
    bare_machine.program("make", "exit 0")
    (bare_machine.folder / "file").touch()
    monkeypatch.setenv("BSNN_CACHE", str(bare_machine.folder / "file" / "cache"))
    checks = bare_machine.examine()
    assert (
        "file/cache cannot be written: Not a directory" in checks["build cache"].found
    )
    assert "BSNN_CACHE" in checks["build cache"].remedy
    assert checks["C++ compiler"].remedy == "first mend the build cache"


def test_damaged_builds_are_told(bare_machine):
    (bare_machine.folder / "cache" / "programs" / "key").mkdir(parents=True)
    check = bare_machine.examine()["build cache"]
    assert check.ok
    assert check.found.endswith("; 1 damaged builds, made again when they are needed")


def test_what_variables_say_wrongly_is_a_failure(bare_machine, monkeypatch):
    monkeypatch.setenv("BSNN_THREADS", "two")
    monkeypatch.setenv("BSNN_CACHE", "~no-such-user/x")
    checks = bare_machine.examine()
    assert "'BSNN_THREADS' must be a whole number" in checks["cores"].found
    assert "~no-such-user" in checks["build cache"].found
    for name in ("cores", "build cache"):
        assert not checks[name].ok and "BSNN_" in checks[name].remedy


def test_graphics_cards_are_listed(bare_machine):
    cards = "echo 'Card A, 9.0, 80000 MiB'; echo 'Card B, 8.6, 24000 MiB'"
    bare_machine.program("nvidia-smi", cards)
    check = bare_machine.examine()["GPU"]
    assert check.ok
    assert check.found == "Card A, 9.0, 80000 MiB; Card B, 8.6, 24000 MiB"


@pytest.mark.parametrize(
    "script",
    [
        "echo No devices were found; exit 6",
        "echo No devices were found",
        "echo NVIDIA-SMI has failed, communicate with the driver; exit 9",
        # Its child keeps the output open when it is gone.
        "/bin/sleep 60 & /bin/sleep 60",
    ],
    ids=["status 6", "status 0", "no driver", "hangs"],
)
def test_no_card_is_no_error(bare_machine, script):
    bare_machine.program("nvidia-smi", script)
    start = time.monotonic()
    check = bare_machine.examine(timeout=2)["GPU"]
    assert (check.ok, check.found, check.required) == (False, "none", False)
    assert time.monotonic() - start < 30


def test_cuda_compiler_and_headers(bare_machine, monkeypatch):
    home = bare_machine.folder / "toolkit"
    (home / "bin").mkdir(parents=True)
    monkeypatch.setenv("CUDA_HOME", str(home))
    nvcc = home / "bin" / "nvcc"
    release = "echo 'Cuda compilation tools, release 13.0, V13.0.88'"
    nvcc.write_text(f"#!/bin/sh\n{release}\n")
    nvcc.chmod(0o755)
    checks = bare_machine.examine()
    assert checks["nvcc"].ok
    assert "release 13.0" in checks["nvcc"].found
    assert str(nvcc) in checks["nvcc"].found
    assert checks["curand headers"].found == "in the CUDA toolkit"
    # This one does not find the header; that of a package counts as well.
    nvcc.write_text(f'#!/bin/sh\n{release}\n[ "$1" != -E ]\n')
    headers = bare_machine.modules / "nvidia" / "cu13" / "include"
    headers.mkdir(parents=True)
    (headers / "curand.h").touch()
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    monkeypatch.syspath_prepend(bare_machine.modules)
    assert bare_machine.examine()["curand headers"].found == str(headers)


def test_an_old_toolkit_is_told(bare_machine):
    bare_machine.program(
        "nvcc", "echo 'Cuda compilation tools, release 11.8, V11.8.89'"
    )
    check = bare_machine.examine()["nvcc"]
    assert not check.ok
    assert "release 11.8" in check.found and "12 or 13" in check.remedy


@pytest.mark.parametrize(
    ("version", "usable", "found"),
    [
        ("13.0", True, "built for CUDA 13.0"),
        ("13.0", False, "built for CUDA 13.0"),
        (None, False, "built for the CPU"),
    ],
)
def test_a_torch_that_finds_no_gpu_is_told(bare_machine, version, usable, found):
    bare_machine.module(
        "torch",
        f"""
from types import SimpleNamespace
version = SimpleNamespace(cuda={version!r})
cuda = SimpleNamespace(is_available=lambda: {usable})
""",
    )
    check = bare_machine.examine()["torch on the GPU"]
    assert (check.ok, check.found, check.required) == (usable, found, False)
    assert "pytorch.org" in check.remedy


def test_image_files_present_and_absent(bare_machine):
    folder = bare_machine.folder / "data"
    for name in ("mnist", "emnist-47class-subset"):
        files = IMAGE_SETS[name]
        (folder / files.folder).mkdir(parents=True)
        for file_name in files.names:
            (folder / files.folder / file_name).touch()
    checks = bare_machine.examine(folder)
    assert checks["mnist"].ok
    assert checks["mnist"].found == f"MNIST in {folder / 'mnist'}"
    assert checks["emnist"].found.startswith("47-class EMNIST subset in ")
    assert not checks["fashion-mnist"].ok
    assert "train-images-idx3-ubyte" in checks["fashion-mnist"].remedy
    in_cache = bare_machine.examine()
    assert in_cache["mnist"].remedy.startswith("downloaded when first used")
    assert "gzip.zip of https://" in in_cache["emnist"].remedy


def test_the_table_is_aligned_and_ends_with_a_verdict(monkeypatch):
    good = doctor.Check(name="one", ok=True, found="1.0")
    option = doctor.Check(
        name="a third", ok=False, found="none", remedy="get it", required=False
    )
    bad = doctor.Check(name="two", ok=False, found="broken", remedy="mend it")
    assert doctor.render([good, option]).splitlines() == [
        "ok      one      1.0",
        "absent  a third  none",
        "                 -> get it",
        "",
        "bsnn can run here.",
    ]
    assert doctor.usable([good, option])
    assert doctor.render([good, bad]).splitlines() == [
        "ok      one  1.0",
        "FAILED  two  broken",
        "             -> mend it",
        "",
        "bsnn cannot run: two.",
    ]
    assert not doctor.usable([good, bad])
    for checks, status in (([good, option], 0), ([good, bad], 1)):
        monkeypatch.setattr(doctor, "examine", lambda _, checks=checks: checks)
        assert main(["doctor"]) == status


def test_an_optional_package_is_told_of_as_it_is(bare_machine, monkeypatch):
    check = bare_machine.examine()["brian2cuda"]
    assert (check.ok, check.found, check.required) == (False, "not installed", False)
    installed = bare_machine.modules / "brian2cuda-1.0b1.dist-info"
    installed.mkdir()
    text = "Metadata-Version: 2.1\nName: brian2cuda\nVersion: 1.0b1\n"
    (installed / "METADATA").write_text(text)
    monkeypatch.syspath_prepend(bare_machine.modules)
    check = bare_machine.examine()["brian2cuda"]
    assert (check.ok, check.found) == (True, "1.0b1")
