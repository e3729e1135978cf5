"""What this machine has: cores, GPUs, versions, and programs that answer in time."""

import contextlib
import os
import platform
import re
import signal
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

from bsnn.processes.children import python_command, python_environment

DEVICES = ("cpp", "cuda")  # what simulates
TIMEOUT = 60.0  # seconds that a program may take to answer
GPU_NEEDED = "--device cuda needs an NVIDIA GPU that nvidia-smi shows"


def n_cores():
    """Return the number of cores this process may use.

    BSNN_THREADS, else all, shared among the processes that torchrun started here.

    Raises
    ------
    ValueError
        If BSNN_THREADS is no number of cores.
    """
    given = os.environ.get("BSNN_THREADS", "").strip()
    if given and not (given.isdecimal() and int(given) > 0):
        raise ValueError(
            f"'BSNN_THREADS' must be a whole number of at least 1, got {given!r}; "
            "change that environment variable, or unset it to use all cores."
        )
    if given:
        return int(given)
    beside = os.environ.get("LOCAL_WORLD_SIZE", "")
    n_beside = int(beside) if beside.isdecimal() else 1
    return max(1, len(os.sched_getaffinity(0)) // max(1, n_beside))


def versions():
    """Return the versions that determine a result, as a dict of str."""
    found = {"python": platform.python_version()}
    for package in ("bsnn", "brian2", "brian2cuda", "numpy", "scipy", "torch"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def processor() -> str:
    """Return the name of the processor, its kind where Linux names none."""
    cpuinfo = ""
    with contextlib.suppress(OSError):
        cpuinfo = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    model = re.search(r"model name\s*:\s*(.*)", cpuinfo)
    return model[1] if model else platform.machine()


def description() -> dict:
    """Return what this machine is: its processor, the cores to use, and the system."""
    return {
        "processor": processor(),
        "cores": n_cores(),
        "system": platform.platform(),
    }


def find_gpus(timeout=TIMEOUT) -> str:
    """Return name, compute capability and memory of each GPU, '' if there is none."""
    query = "--query-gpu=name,compute_cap,memory.total"
    status, output = ask(["nvidia-smi", query, "--format=csv,noheader"], timeout)
    ok = status == 0 and bool(output) and "," in output[0]
    return "; ".join(output) if ok else ""


def n_multiprocessors():
    """Return how many multiprocessors the first GPU has, 0 if that cannot be asked."""
    code = (
        "import ctypes as c; d = c.CDLL('libcuda.so.1'); d.cuInit(0); n = c.c_int(); "
        "f = d.cuDeviceGetAttribute(c.byref(n), 16, 0); print(n.value)"
    )
    status, output = ask_python(code)
    return int(output[-1]) if status == 0 and output and output[-1].isdigit() else 0


def ask_python(code, timeout=TIMEOUT):
    """Return what `ask` does of Python code in a process of its own."""
    return ask(python_command("-c", code), timeout, python_environment())


def ask(command, timeout, environment=None):
    """Return a program's exit status, None if it has none in time, and its lines."""
    # Into a file: a pipe stays open as long as any child of the program lives.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        try:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return None, [f"{command[0]}: {error.strerror}"]
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None, [f"no answer within {timeout:g} s"]
        output.seek(0)
        return status, [line.strip() for line in output if line.strip()]
