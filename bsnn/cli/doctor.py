"""What works on this machine, and how to mend what does not."""

import importlib.metadata
import platform
import re
import shutil
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from bsnn import builds
from bsnn.errors import BackendUnavailable, DataError
from bsnn.inputs.datasets import available_emnist, data_folder, load_dataset
from bsnn.inputs.image_files import IMAGE_SETS, locate
from bsnn.machine import GPU_NEEDED, TIMEOUT, ask, ask_python, find_gpus, n_cores
from bsnn.targets.cuda.tools import find_nvcc, find_packaged_curand

PACKAGES = ("brian2", "numpy", "torch")
OLDEST_CUDA = 12
TRIAL_FLAGS = ("-std=c++17", "-O3", "-march=native")
TRIAL_PROGRAM = (
    "#include <vector>\nint main() { return std::vector<int>(3).size() - 3; }"
)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
    ok : bool
    found : str
        What is there.
    remedy : str
        What to do if it is not in order.
    required : bool
        Whether bsnn cannot work without it.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""
    required: bool = True


def examine(data_dir=None, *, timeout=TIMEOUT) -> list[Check]:
    """Look at everything bsnn uses; what is missing or hangs is a result, not an error.

    Parameters
    ----------
    data_dir : path, optional
        Data folder, as for `load_dataset`.
    timeout : float
        Seconds that each program asked may take to answer.
    """
    image_sets = ("mnist", "emnist", "fashion-mnist")
    looks = [
        _python,
        _cores,
        *(lambda name=name: _package(name, timeout) for name in PACKAGES),
        lambda: _compiler(timeout),
        _cache,
        _embedded_data,
        *(lambda name=name: _images(name, data_dir) for name in image_sets),
        _brian2cuda,
        lambda: _nvcc(timeout),
        lambda: _gpu(timeout),
        lambda: _curand(timeout),
        lambda: _torch_cuda(timeout),
    ]
    # Most of the time goes into waiting for other programs.
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda look: look(), looks))


def usable(checks) -> bool:
    """Return whether everything that bsnn cannot do without is in order."""
    return all(check.ok for check in checks if check.required)


def render(checks) -> str:
    """Return the checks as a table in plain text, with a verdict below it."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        state = "ok" if check.ok else "FAILED" if check.required else "absent"
        lines.append(f"{state:6}  {check.name:{width}}  {check.found}".rstrip())
        if not check.ok and check.remedy:
            lines.append(f"{'':6}  {'':{width}}  -> {check.remedy}")
    bad = [check.name for check in checks if check.required and not check.ok]
    verdict = f"bsnn cannot run: {', '.join(bad)}" if bad else "bsnn can run here"
    return "\n".join([*lines, "", f"{verdict}."])


def _python():
    return Check(
        name="Python",
        ok=(3, 11) <= sys.version_info < (3, 14),
        found=f"{platform.python_version()}, {sys.executable}",
        remedy="install Python 3.11, 3.12 or 3.13",
    )


def _cores():
    try:
        ok, found = True, str(n_cores())
    except ValueError as error:
        ok, found = False, str(error)
    return Check(name="cores", ok=ok, found=found, remedy="unset BSNN_THREADS")


def _package(name, timeout):
    """Import a package in a process of its own: a broken one may crash or hang."""

    def check(ok, found, remedy=""):
        return Check(name=name, ok=ok, found=found, remedy=remedy)

    found = _installed(name)
    if found is None:
        return check(False, "not installed", f"pip install {name}")
    for needed in _requirements(name):
        if not needed.specifier.contains(found, prereleases=True):
            return check(False, found, f"pip install '{name}{needed.specifier}'")
    status, output = ask_python(f"import {name}", timeout)
    if status != 0:
        reason = output[-1] if output else f"exit status {status}"
        remedy = f"pip install --force-reinstall {name}"
        return check(False, f"{found} cannot be imported: {reason}", remedy)
    return check(True, found)


def _requirements(name):
    """Yield what bsnn itself asks of a package on this Python."""
    try:
        lines = importlib.metadata.requires("bsnn")
    except importlib.metadata.PackageNotFoundError:  # it runs where it lies
        return
    for needed in map(Requirement, lines or ()):
        if needed.name == name and (
            needed.marker is None or needed.marker.evaluate({"extra": ""})
        ):
            yield needed


def _installed(name):
    """Return the installed version of a package, None if there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _compiler(timeout):
    """Compile a program and run it in the build cache, where that may be forbidden."""

    def check(ok, found, remedy=""):
        return Check(name="C++ compiler", ok=ok, found=found, remedy=remedy)

    try:
        command = builds.compiler()
    except BackendUnavailable as error:
        return check(False, "none that works", str(error))
    versions = [ask([tool, "--version"], timeout)[1] for tool in (command[0], "make")]
    found = ", ".join(lines[0] for lines in versions if lines)
    try:
        status, output = _run_trial([*command, *TRIAL_FLAGS], timeout)
    except (OSError, ValueError) as error:
        return check(False, f"{found}, untried: {error}", "first mend the build cache")
    if status != 0:
        reason = output[-1] if output else f"exit status {status}"
        return check(
            False,
            f"{found} makes no program that runs: {reason}",
            "install g++ with its standard library, or name another compiler in CXX; "
            "if the build cache forbids programs, another folder in BSNN_CACHE",
        )
    return check(True, found)


def _run_trial(command, timeout):
    """Compile the trial program in the build cache and run it, as `ask` does."""
    folder = builds.cache_dir()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        source, program = Path(scratch) / "trial.cpp", Path(scratch) / "trial"
        source.write_text(TRIAL_PROGRAM, "utf-8")
        compile_it = [*command, str(source), "-o", str(program)]
        status, output = ask(compile_it, timeout, builds.tool_environment())
        return ask([str(program)], timeout) if status == 0 else (status, output)


def _cache():
    try:
        folder = builds.cache_dir()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
        damaged = len(builds.damaged_builds())
    except ValueError as error:
        ok, found = False, str(error)
    except OSError as error:
        ok, found = False, f"{folder} cannot be written: {error.strerror}"
    else:
        ok, found = free >= builds.SPACE_NEEDED, f"{folder}, {free / 1e9:.1f} GB free"
        if damaged:
            found += f"; {damaged} damaged builds, made again when they are needed"
    return Check(
        name="build cache",
        ok=ok,
        found=found,
        remedy="name a writable folder with "
        f"{builds.SPACE_NEEDED / 1e6:.0f} MB in BSNN_CACHE",
    )


def _embedded_data():
    try:
        n_samples = len(load_dataset("digits").train_images)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        found, ok = f"damaged: {error}", False
    else:
        found, ok = f"digits ({n_samples} samples for training) and yin-yang", True
    return Check(name="own data", ok=ok, found=found, remedy="install bsnn again")


def _images(name, data_dir):
    folder, is_cache = data_folder(data_dir)
    chosen = available_emnist(folder) if name == "emnist" else name
    files = IMAGE_SETS[chosen]
    found, ok, remedy = f"{files.title} in {folder / files.folder}", True, ""
    try:
        locate(files, folder, fetch=False)
    except DataError as error:
        found, ok, remedy = f"not in {folder / files.folder}", False, str(error)
        if is_cache and files.url:
            remedy = "downloaded when first used; or name your data folder in BSNN_DATA"
    return Check(name=name, ok=ok, found=found, remedy=remedy, required=False)


def _brian2cuda():
    found = _installed("brian2cuda")
    return Check(
        name="brian2cuda",
        ok=found is not None,
        found=found or "not installed",
        remedy="for GPUs: pip install brian2cuda (1.0b1 goes with Brian2 2.10.1 and "
        "Python 3.12 or later, 1.0a7 with Brian2 2.8.0)",
        required=False,
    )


def _nvcc(timeout):
    path = find_nvcc()
    status, output = ask([path, "--version"], timeout) if path else (None, [])
    release = [line for line in output if re.search(r"release \d+", line)]
    works = status == 0 and bool(release)
    return Check(
        name="nvcc",
        ok=works and int(re.search(r"release (\d+)", release[0])[1]) >= OLDEST_CUDA,
        found=f"{release[0]}, {path}" if works else "none that works",
        remedy="for GPUs: install the CUDA toolkit, 12 or 13, and put its bin on the "
        "PATH or its folder in CUDA_HOME",
        required=False,
    )


def _gpu(timeout):
    found = find_gpus(timeout)
    return Check(
        name="GPU",
        ok=bool(found),
        found=found or "none",
        remedy=GPU_NEEDED,
        required=False,
    )


def _curand(timeout):
    """Ask nvcc whether it finds the header by itself, then look among the packages."""
    nvcc = find_nvcc()
    found = find_packaged_curand()
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "trial.cu"
        source.write_text("#include <curand.h>\n", "utf-8")
        if nvcc and ask([nvcc, "-E", str(source)], timeout)[0] == 0:
            found = "in the CUDA toolkit"
    return Check(
        name="curand headers",
        ok=found is not None,
        found=str(found or "none"),
        remedy="for GPUs: pip install nvidia-curand, or the curand part of the toolkit",
        required=False,
    )


def _torch_cuda(timeout):
    code = "import torch; print(torch.version.cuda, torch.cuda.is_available())"
    status, output = ask_python(code, timeout)
    version, usable = output[-1].split() if status == 0 and output else ("None", "")
    built = f"built for CUDA {version}" if version != "None" else "built for the CPU"
    return Check(
        name="torch on the GPU",
        ok=usable == "True",
        found=built if usable else "none",
        remedy="for GPUs: install a torch for CUDA, see https://pytorch.org, and a "
        "driver as new; until then gradients are computed on the CPU",
        required=False,
    )
