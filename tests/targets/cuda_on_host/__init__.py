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
        text = re.sub(
            r"(\w+)<<<(.*?)>>>\(",
            r"on_host::launch(\1, {\2}, ",
            source.read_text(),
        )
        host = source.with_suffix(".cpp")
        host.write_text(text)
        objects.append(str(host.relative_to(folder)))
    subprocess.run(
        ["g++", "-w", "-O1", "-std=c++17", "-I.", "-include", str(SHIM)]
        + [f"-DBSNN_FIRST_ROOM={FIRST_ROOM}", *objects, "-o", "main"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
