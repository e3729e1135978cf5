"""Compiled artefacts: the compiler and the cache."""

import contextlib
import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import filelock

from bsnn.processes.children import python_command, python_environment, tool_environment

from .errors import BackendUnavailable, BuildError
from .folders import named_folder, user_cache
from .seals import is_sound, seal

SPACE_NEEDED = 300e6  # bytes of the cache; three loops, some ten compiled programs

# Code that ends at its first access out of bounds or undefined operation. -O1, since
# the checks make optimising it slow.
SANITIZE_FLAGS = (
    "-O1 -g1 -fsanitize=address,undefined,float-cast-overflow "
    "-fno-sanitize-recover=all -DBSNN_SANITIZE "
    "-D_GLIBCXX_ASSERTIONS -D_GLIBCXX_SANITIZE_VECTOR"
).split()
# Leads a group of processes, and kills it when its input ends, which it does when the
# process that started it ends, in whatever way.
_WATCH = ("sh", "-c", "read -r _; kill -9 0")
# What the folders of the cache hold, as patterns.
_PRODUCTS = (("programs", "main"), ("kernels", "*.so"), ("loops", "*.gch", "loop.o"))
# What compilers and linkers read besides their arguments.
_COMPILER = (
    "COMPILER_PATH",
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "C_INCLUDE_PATH",
    "GCC_EXEC_PREFIX",
    "LD_RUN_PATH",
    "LIBRARY_PATH",
)
# Variables that Brian2 makes distutils parse, though it compiles nothing here.
_DISTUTILS = "AR ARFLAGS CC CFLAGS CPP CPPFLAGS CXX CXXFLAGS LDFLAGS LDSHARED".split()

log = logging.getLogger(__name__)


def cache_dir():
    """Return the folder of compiled programs: BSNN_CACHE, else the user's cache."""
    return named_folder("BSNN_CACHE") or user_cache("BSNN_CACHE")


def compiler():
    """Return the C++ compiler command as a list, CXX or g++, its path absolute.

    CXX is a path, or a command as a shell reads it.

    Raises
    ------
    BackendUnavailable
        If it, or make, is not on the PATH.
    """
    given = os.environ.get("CXX", "").strip() or "g++"
    try:
        command = [given] if shutil.which(given) else shlex.split(given)
    except ValueError as error:  # quotes without an end
        raise BackendUnavailable(
            f"'CXX' must be a compiler's path or command, got {given!r} ({error})."
        ) from error
    for tool in (command[0], "make"):
        if shutil.which(tool) is None:
            raise BackendUnavailable(
                f"'{tool}' is needed to compile the simulation and is not on the PATH; "
                "install a C++ compiler and make (Debian: apt install g++ make), "
                "or name another compiler in CXX."
            )
    return [os.path.abspath(shutil.which(command[0])), *command[1:]]


def sanitize_flags():
    """Return SANITIZE_FLAGS if BSNN_SANITIZE is set, and not to 0; else nothing."""
    wanted = os.environ.get("BSNN_SANITIZE") not in (None, "", "0")
    return SANITIZE_FLAGS if wanted else []


def profile_flags():
    """Return what times each code object, if BSNN_PROFILE names a folder; else nothing.

    A program of a network then leaves a file there as it ends; see
    `bsnn.training.bench.profile`.
    """
    return ["-DBSNN_PROFILE"] if os.environ.get("BSNN_PROFILE") else []


def fingerprint(*parts):
    """Return a hex key of `parts`, the compiler, what it is told, and the processor.

    Programs are compiled for the processor at hand (-march=native), so a cache on a
    shared disk must keep those of different machines apart.
    """
    digest = hashlib.sha256()
    variables = {name: os.environ.get(name) for name in _COMPILER}
    command = [*compiler(), *sanitize_flags()]
    version = _compiler_version(tuple(command))
    for part in (*parts, command, version, variables, _processor()):
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:32]


def precompiles():
    """Return whether the compiler takes a precompiled header that was moved: GCC does.

    Clang refuses it there, and with another level of optimisation.
    """
    version = _compiler_version((*compiler(), *sanitize_flags()))
    return b"clang" not in version.lower()


@functools.cache
def _compiler_version(command):
    command = [*command, "--version"]
    return subprocess.run(command, capture_output=True, env=tool_environment()).stdout


@functools.cache
def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor() + platform.machine()
    return next((line for line in lines if line.startswith("flags")), lines[0])


def build_once(kind, key, make, *, product=None):
    """Return the cached folder of `key`, calling ``make(folder)`` if there is none.

    Processes that need the same folder wait for the first one; what appears under the
    final name is always complete. What killed builds left in the cache goes first, and
    a folder whose product is damaged is made again.

    Parameters
    ----------
    kind, key : str
    make : callable
    product : str or tuple of str, optional
        The executable file that `make` leaves in the folder, or several that need not
        be executable.

    Raises
    ------
    BuildError
        If the cache cannot be written, or has little space when `make` fails; whatever
        else `make` raises passes through.
    """
    parent = cache_dir() / kind
    final = parent / key
    _remove_leftovers(parent)
    if is_sound(final, product):
        return final
    try:
        # One by one: the mode is for the last folder only.
        for folder in (cache_dir(), parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with filelock.FileLock(parent / f"{key}.lock", mode=0o600):
            if is_sound(final, product):
                return final
            with tempfile.TemporaryDirectory(prefix=f"{key}.", dir=parent) as scratch:
                made = Path(scratch) / "made"
                made.mkdir(mode=0o700)
                if os.path.lexists(final):
                    log.warning("%s is damaged and is built again", final)
                    final.rename(Path(scratch) / "damaged")
                make(made)
                seal(made, product)
                made.rename(final)
    except OSError as error:
        raise BuildError(
            f"the build cache {parent} cannot be written ({error}); "
            "name another folder in BSNN_CACHE."
        ) from error
    except BuildError as error:
        free = shutil.disk_usage(parent).free
        told = isinstance(error.__cause__, BuildError)  # of what this build needs
        if free >= SPACE_NEEDED or told:
            raise
        raise BuildError(
            f"the build cache {parent} has {free / 1e6:.0f} MB left and should have "
            f"{SPACE_NEEDED / 1e6:.0f}; free space or name another folder in "
            f"BSNN_CACHE. What failed: {error.args[0]}"
        ) from error
    return final


def damaged_builds():
    """Return the folders of the cache whose products are damaged."""
    found = []
    for kind, *patterns in _PRODUCTS:
        for folder in (cache_dir() / kind).glob("*/"):
            names = [path.name for p in patterns for path in folder.glob(p)] or patterns
            product = tuple(names) if len(patterns) > 1 else names[0]
            if "." not in folder.name and not is_sound(folder, product):
                found.append(folder)
    return found


def _remove_leftovers(parent):
    """Remove the folders of builds whose process is gone, for nobody has their lock."""
    for folder in parent.glob("*.*/"):
        lock = parent / f"{folder.name.partition('.')[0]}.lock"
        if lock.is_file():  # else the folder is none of ours
            with contextlib.suppress(OSError), filelock.FileLock(lock, timeout=0):
                shutil.rmtree(folder)


def run_python(module, *arguments, failure, folder):
    """Run a module of bsnn in a process of its own, as `run_tool`."""
    environment = python_environment()
    for name in _DISTUTILS:
        environment.pop(name, None)
    environment["PYTHONUTF8"] = "1"  # Brian2 writes what the user's text holds
    command = python_command("-m", module, *arguments)
    run_tool(command, failure, folder, environment)


def run_tool(command, failure, folder, environment=None):
    """Run a compiler or the like in `folder`, where its temporary files stay, too.

    It and all that it starts end at the latest when this process does. The environment
    is `tool_environment` unless given.

    Raises
    ------
    BuildError
        With the message `failure` and the output, if it fails.
    """
    with subprocess.Popen(_WATCH, stdin=subprocess.PIPE, process_group=0) as watch:
        process = None
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**(environment or tool_environment()), "TMPDIR": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                process_group=watch.pid,
            )
            output = process.stdout.read()
            process.wait()
        finally:
            # First: a signal may come as soon as the command has begun, and what waits
            # for a command that is not killed waits for all of it.
            watch.stdin.close()
            if process is not None:
                with process.stdout:  # until all that could write in `folder` are gone
                    process.stdout.read()
                process.wait()
    if process.returncode:
        raise BuildError(failure, output)
