"""Where the parts of CUDA are that brian2cuda compiles with."""

import importlib.util
import os
import shutil
from pathlib import Path


def find_nvcc():
    """Return the path of nvcc on the PATH, in CUDA_HOME, CUDA_PATH or the usual place.

    None if it is in none of them.
    """
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
    folders = [Path(home) / "bin" for home in (*homes, "/usr/local/cuda") if home]
    found = [shutil.which("nvcc"), *(shutil.which("nvcc", path=f) for f in folders)]
    return next(filter(None, found), None)


def find_packaged_curand():
    """Return the folder of curand.h among PyPI's nvidia packages, or None."""
    nvidia = importlib.util.find_spec("nvidia")
    roots = nvidia.submodule_search_locations if nvidia else ()
    headers = (h for root in roots for h in Path(root).glob("*/include/curand.h"))
    return next((header.parent for header in headers), None)
