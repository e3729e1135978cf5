"""Write a model as a CUDA program with replicas side by side, and compile it.

As `bsnn.targets.cpp.target`, with brian2cuda in place of Brian2's C++ target.
"""

import shutil
import sys
from pathlib import Path

from bsnn.builds import build_once, fingerprint, run_python, run_tool
from bsnn.errors import BackendUnavailable
from bsnn.machine import n_cores
from bsnn.processes.brian2_files import import_brian2
from bsnn.targets.cpp.target import (
    PACKAGE,
    PRECISIONS,
    braced,
    brian2_version,
    read_specification,
    serve_call,
    specify,
)

from .tools import find_nvcc, find_packaged_curand

# Without -use_fast_math, so that exponentials round as on the CPU.
NVCC_FLAGS = ["-w", "-std=c++17", "-O3"]
GCC_FLAGS = ["-w", "-O3", "-std=c++17"]
HEADERS = (
    "program/native/protocol.h",
    "targets/cuda/native/replicas.cuh",
    "targets/cuda/native/resident.cuh",
    "targets/cuda/native/trials.cuh",
)
_SOURCES = (
    "program/forward.py",
    "program/projection.py",
    "targets/cpp/target.py",
    "targets/cuda/target.py",
    *HEADERS,
    *(
        f"targets/cuda/templates/{name}.cu"
        for name in (
            "block_kernel",
            "dense_projection",
            "reset",
            "spikegenerator",
            "spikemonitor",
            "stateupdate",
            "threshold",
        )
    ),
)


def build_cuda_program(model, *, precision, n_replicas, arch):
    """Return the folder of the model's compiled CUDA program, building it if need be.

    No GPU is needed.

    Parameters
    ----------
    model : Model
        With the rule "grid".
    precision : {"double", "single"}
    n_replicas : int
        Samples that are simulated at the same time.
    arch : float
        Compute capability to compile for, such as 9.0.

    Raises
    ------
    BackendUnavailable
        If brian2cuda, nvcc or the curand headers are not there.
    BuildError
        If generating or compiling fails; the output is attached.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"'precision' must be one of {', '.join(PRECISIONS)}, got {precision!r}."
        )
    if n_replicas < 1:
        raise ValueError(f"'replicas' must be at least 1, got {n_replicas}.")
    try:
        from importlib.metadata import version

        brian2cuda = version("brian2cuda")
    except ImportError as error:
        raise BackendUnavailable(
            "brian2cuda is not installed; `bsnn doctor` says how to install it."
        ) from error
    nvcc = find_nvcc()
    if nvcc is None:
        raise BackendUnavailable("nvcc was not found; see `bsnn doctor`.")
    specification = specify(
        model, precision=precision, n_replicas=n_replicas, arch=arch
    )
    key = fingerprint(
        specification,
        brian2_version(),
        brian2cuda,
        nvcc,
        *NVCC_FLAGS,
        *(PACKAGE.joinpath(name).read_bytes() for name in _SOURCES),
    )

    def make(folder):
        generate_cuda_project(specification, folder)
        failure = "compiling the CUDA program failed."
        run_tool(["make", f"-j{n_cores()}"], failure, folder)
        for leftover in folder.rglob("*.o"):
            leftover.unlink()

    return build_once("programs", key, make, product="main")


def generate_cuda_project(specification, folder):
    """Write the sources of a specification, in a process of their own."""
    run_python(
        "bsnn.targets.cuda.target",
        specification,
        str(folder),
        failure="generating the CUDA program failed.",
        folder=folder,
    )


def cuda_code_object(n_replicas):
    """Return brian2cuda's code object class with the templates of this package."""
    from brian2cuda.codeobject import CUDAStandaloneCodeObject as Base

    templater = Base.templater.derive(
        "bsnn.targets.cuda",
        templates_dir="templates",
        env_globals={"n_replicas": n_replicas},
    )
    return type("BsnnCudaCodeObject", (Base,), {"templater": templater})


def _set_preferences(prefs, precision, arch):
    import numpy as np

    nvcc = Path(find_nvcc() or "/usr/local/cuda/bin/nvcc")
    single = precision == "single"
    prefs.core.default_float_dtype = np.float32 if single else np.float64
    prefs.codegen.cpp.extra_compile_args_gcc = GCC_FLAGS
    curand = find_packaged_curand()
    if curand:
        prefs.codegen.cpp.include_dirs = [str(curand)]
        prefs.codegen.cpp.library_dirs = ["lib"]  # see `_link_curand`
        prefs.codegen.cpp.runtime_library_dirs = [str(curand.parent / "lib")]
    backend = prefs.devices.cuda_standalone.cuda_backend
    backend.extra_compile_args_nvcc = list(NVCC_FLAGS)
    # Nothing is looked for: programs are also built where there is no GPU.
    backend.detect_gpus = backend.detect_cuda = False
    backend.gpu_id, backend.compute_capability = 0, arch
    backend.cuda_path = str(nvcc.parent.parent)
    backend.cuda_runtime_version = 13.0 if arch >= 7.5 else 12.0


def _generate(specification, folder):
    """Write the CUDA project of a specification; runs in a process of its own."""
    import_brian2()
    import brian2cuda  # noqa: F401  registers the device
    from brian2 import device, prefs, second, set_device

    from bsnn.program.forward import build_network

    model, options = read_specification(specification)
    _set_preferences(prefs, options["precision"], options["arch"])
    for header in HEADERS:
        shutil.copy(PACKAGE / header, folder)
    set_device("cuda_standalone", build_on_run=False, directory=folder)
    n_replicas = options["n_replicas"]
    parts = build_network(
        model, n_replicas=n_replicas, code=cuda_code_object(n_replicas)
    )
    # As in C++, the loop of resident.cuh takes the place of Brian2's.
    device.insert_code(
        "before_network_run", _serving_code(device, parts, model, n_replicas)
    )
    parts.network.run(0 * second, namespace={})
    device.build(directory=folder, compile=False, run=False)
    _link_curand(Path(folder, "lib"))
    main = Path(folder, "main.cu")
    text = '#include "resident.cuh"\n' + main.read_text("utf-8")
    main.write_text(text, "utf-8")


def _link_curand(folder):
    # The package has libcurand.so.10 alone, the linker looks for libcurand.so.
    curand = find_packaged_curand()
    library = curand and next((curand.parent / "lib").glob("libcurand.so*"), None)
    if library:
        folder.mkdir(exist_ok=True)
        (folder / "libcurand.so").symlink_to(library)


def _serving_code(device, parts, model, n_replicas):
    from bsnn.program.forward import kept_variables

    def on_gpu(variable):
        return device.get_array_name(variable, access_data=False, prefix="dev")

    def describe(group, monitor, neuron):
        return [
            on_gpu(monitor.variables["i"]),
            on_gpu(monitor.variables["t"]),
            braced(f"&{on_gpu(monitor.variables[v])}" for v in neuron.state),
            braced(on_gpu(group.variables[v]) for v in kept_variables(group)),
            str(len(group) // n_replicas),
            str(n_replicas),
        ]

    def both(variable):
        return (
            f"{device.get_array_name(variable, access_data=False)}, {on_gpu(variable)}"
        )

    inputs = parts.inputs.variables
    return serve_call(
        parts,
        model,
        inputs=[
            braced(
                [
                    on_gpu(inputs["_timebins"]),
                    on_gpu(inputs["neuron_index"]),
                    str(model.n_inputs),
                    str(n_replicas),
                ]
            )
        ],
        describe=describe,
        weights_at=both,
    )


if __name__ == "__main__":
    _generate(*sys.argv[1:])
