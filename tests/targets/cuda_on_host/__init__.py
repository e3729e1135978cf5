"""Compile a generated CUDA project for the host, where its kernels are emulated."""

import re
import subprocess
from pathlib import Path

SHIM = Path(__file__).with_name("cuda_host.h")
FIRST_ROOM = 200  # spikes of a layer; must grow with use
# Headers whose content is in the shim, or that nothing here needs.
EMPTY = (
    "brianlib/cuda_utils.h",
    "cuda.h",
    "cuda_profiler_api.h",
    "curand.h",
    "curand_kernel.h",
    "synapses_classes.h",
    *(
        f"thrust/{name}.h"
        for name in (
            "binary_search copy count device_vector execution_policy fill gather "
            "host_vector sequence sort system_error transform"
        ).split()
    ),
)


def compile_for_host(folder):
    """Compile the project in `folder` to ``main``."""
    for name in EMPTY:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    objects = []
    for source in (*folder.glob("*.cu"), *folder.glob("code_objects/*.cu")):
        if source.name == "synapses_classes.cu":
            continue
        host = source.with_suffix(".cpp")
        host.write_text(_launching_on_host(source.read_text()))
        objects.append(str(host.relative_to(folder)))
    _compile(folder, [f"-DBSNN_FIRST_ROOM={FIRST_ROOM}", *objects])


def compile_network_for_host(folder, most_threads):
    """Compile the project of a `Network` to ``main``, with so many threads a block."""
    for source in folder.glob("*.cuh"):
        source.write_text(_launching_on_host(source.read_text()))
    _compile(folder, [f"-DBSNN_MOST_THREADS={most_threads}", "-x", "c++", "main.cu"])


def _launching_on_host(text):
    return re.sub(r"(\w+)<<<(.*?)>>>\(", r"on_host::launch(\1, {\2}, ", text)


def _compile(folder, arguments):
    subprocess.run(
        ["g++", "-w", "-O1", "-std=c++17", "-I.", "-include", str(SHIM)]
        + [*arguments, "-o", "main"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
