"""Programs in CUDA, with samples of a batch side by side as replicas of one network."""

import importlib.metadata
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from bsnn.builds import run_tool
from bsnn.errors import BackendUnavailable
from bsnn.machine import GPU_NEEDED, find_gpus, n_cores, n_multiprocessors
from bsnn.program.build import (
    PACKAGE,
    PROTOCOL,
    braced,
    build,
    read_specification,
    serve_call,
    specify,
)

from .tools import find_nvcc, find_packaged_curand

# Without -use_fast_math, so that exponentials round as on the CPU.
NVCC_FLAGS = ["-w", "-std=c++17", "-O3"]
GCC_FLAGS = ["-w", "-O3", "-std=c++17"]
HEADERS = (
    PROTOCOL,
    "targets/cuda/native/replicas.cuh",
    "targets/cuda/native/resident.cuh",
    "targets/cuda/native/trials.cuh",
)
_SOURCES = (
    *HEADERS,
    "targets/cuda/target.py",
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
# Replicas for each multiprocessor: about a thousand on a large card.
REPLICAS_PER_MULTIPROCESSOR = 8
# When the number of multiprocessors cannot be asked for.
DEFAULT_REPLICAS = 256


@dataclass(frozen=True, kw_only=True)
class OnGpu:
    """CUDA for the first GPU: one program, which has the whole batch.

    Parameters
    ----------
    replicas : int, optional
        Samples simulated at the same time; by the card unless given.
    arch : float, optional
        Compute capability to compile for, such as 9.0; that of the first GPU unless
        given.
    """

    replicas: int | None = None
    arch: float | None = None

    one_program: ClassVar[bool] = True

    def __post_init__(self):
        # Not before `import_brian2`, in a child.
        from bsnn.equations.units import as_int, as_positive

        if self.replicas is not None:
            value = as_int(self.replicas, "replicas", least=1)
            object.__setattr__(self, "replicas", value)
        if self.arch is not None:
            object.__setattr__(self, "arch", as_positive(self.arch, "arch"))


class CudaTarget(OnGpu):
    """The program of a `Model`, by brian2cuda."""

    projections: ClassVar[tuple[str, ...]] = ("dense",)

    def here(self):
        """Return the target with all that this machine decides.

        Raises
        ------
        BackendUnavailable
            If there is no GPU.
        """
        capability = require_gpu()
        replicas = default_replicas() if self.replicas is None else self.replicas
        arch = capability if self.arch is None else self.arch
        return replace(self, replicas=replicas, arch=arch)

    def build(self, model, *, precision="double", projection="dense"):
        """Return the folder of the model's compiled program, building it if need be.

        No GPU is needed where replicas and architecture are given.

        Parameters
        ----------
        model : Model
            With the rule "grid".
        precision : {"double", "single"}
            Of state, weights and records.
        projection : {"dense"}

        Raises
        ------
        ValueError
            If there is no such precision or projection.
        BackendUnavailable
            If brian2cuda, nvcc or the curand headers are not there, or there is no GPU
            to ask.
        BuildError
            If generating or compiling fails; the output is attached.
        """
        # Not before `import_brian2`, in a child.
        from bsnn.equations.units import one_of

        one_of(projection, "projection", self.projections)
        target = self.here() if None in (self.replicas, self.arch) else self
        specification = target.specify(model, precision=precision)
        try:
            brian2cuda = importlib.metadata.version("brian2cuda")
        except ImportError as error:
            raise BackendUnavailable(
                "brian2cuda is not installed; `bsnn doctor` says how to install it."
            ) from error
        nvcc = find_nvcc()
        if nvcc is None:
            raise BackendUnavailable("nvcc was not found; see `bsnn doctor`.")
        return build(
            __name__,
            specification,
            _compile_in,
            sources=_SOURCES,
            ingredients=(brian2cuda, nvcc, *NVCC_FLAGS),
        )

    def specify(self, model, *, precision):
        """Return what determines the program, as `bsnn.program.build.specify`."""
        return specify(
            model, precision=precision, n_replicas=self.replicas, arch=self.arch
        )


def require_gpu():
    """Return the compute capability of the first GPU.

    Raises
    ------
    BackendUnavailable
        If there is no GPU.
    """
    gpus = find_gpus()
    if not gpus:
        raise BackendUnavailable(
            f"'device' must be 'cpp' here: no GPU was found. {GPU_NEEDED}; "
            "`bsnn doctor` says more."
        )
    return float(re.search(r",\s*(\d+\.\d+)", gpus)[1])


def default_replicas():
    """Return how many replicas keep the first GPU busy."""
    return REPLICAS_PER_MULTIPROCESSOR * n_multiprocessors() or DEFAULT_REPLICAS


def _compile_in(folder):
    run_tool(["make", f"-j{n_cores()}"], "compiling the CUDA program failed.", folder)
    for leftover in folder.rglob("*.o"):
        leftover.unlink()


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
        prefs.codegen.cpp.library_dirs = ["lib"]  # of this program
        prefs.codegen.cpp.runtime_library_dirs = [str(curand.parent / "lib")]
    backend = prefs.devices.cuda_standalone.cuda_backend
    backend.extra_compile_args_nvcc = list(NVCC_FLAGS)
    # Nothing is looked for: programs are also built where there is no GPU.
    backend.detect_gpus = backend.detect_cuda = False
    backend.gpu_id, backend.compute_capability = 0, arch
    backend.cuda_path = str(nvcc.parent.parent)
    backend.cuda_runtime_version = 13.0 if arch >= 7.5 else 12.0


def write_sources(specification, folder):
    """Write the CUDA project of a specification; runs in a process of its own."""
    import brian2cuda  # noqa: F401  registers the device
    from brian2 import device, prefs, second, set_device

    from bsnn.program.forward import build_network

    model, options = read_specification(specification)
    _set_preferences(prefs, options["precision"], options["arch"])
    for header in HEADERS:
        shutil.copy(PACKAGE / header, folder)
    set_device("cuda_standalone", build_on_run=False, directory=folder)
    n_replicas = options["n_replicas"]
    parts = build_network(model, cuda_code_object(n_replicas), n_replicas=n_replicas)
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
        network=parts.network.name,
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
