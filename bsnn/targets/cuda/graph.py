"""The CUDA program of a `Network`: generated in a child process, compiled, kept.

Brian2's C++ generator writes the code, from the same texts as for C++, as functions
that the threads of a block run together; a block has a sample. brian2cuda would launch
a kernel for each piece of a step, and is not needed.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from bsnn.builds import run_tool
from bsnn.equations.estimators import of_program
from bsnn.errors import BackendUnavailable
from bsnn.program.build import PACKAGE, PROTOCOL, braced, build
from bsnn.program.graph_description import Spelling, describe
from bsnn.program.graph_specification import read_specification, specify
from bsnn.targets.cpp.graph import SHARED_SOURCES

from .target import OnGpu, require_gpu
from .tools import find_nvcc

# Without -use_fast_math, so that exponentials round as on the CPU.
FLAGS = ["-w", "-std=c++17", "-O3", "--expt-relaxed-constexpr"]
HEADERS = (
    PROTOCOL,
    "targets/cpp/native/graph_noise.h",
    "targets/cpp/native/graph_visits.h",
    *(
        f"targets/cuda/native/graph{part}.cuh"
        for part in ("", "_adjoint", "_block", "_parts", "_simulation")
    ),
)
_SOURCES = (
    *HEADERS,
    *SHARED_SOURCES,
    "targets/cuda/codeobject.py",
    "targets/cuda/graph.py",
    "targets/cuda/target.py",
    *(
        f"targets/cuda/graph_templates/{name}.cpp"
        for name in ("common_group", "reset", "threshold")
    ),
)
# What a block's threads know of it has to fit in their shared memory.
MOST_PARTS = 64

_PROGRAM = """\
#define BSNN_ANYWHERE __host__ __device__
{single}#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "graph_visits.h"

namespace bsnn {{

const int N_POPULATIONS = {n_populations}, N_CONNECTIONS = {n_connections};
const int N_STATES = {n_states};  // numbers that make the state of a sample
const int MOST_MOVED = {most_moved};  // arrays of a population that crossings read
const int N_ARRAYS = {n_arrays}, AT_DT = {dt}, AT_T = {t}, AT_TIMESTEP = {timestep};

struct Arrays {{
    {arrays}
}};

}}  // namespace bsnn

#include "graph_block.cuh"

#define inline BSNN_ANYWHERE inline
#include "brianlib/stdint_compat.h"
#undef inline

{includes}

namespace bsnn {{

__device__ __noinline__ void call(int code, Block& own)
{{
    switch (code) {{
    {cases}
    }}
}}

}}  // namespace bsnn

#include "graph.cuh"

int main()
{{
    bsnn::Program(
        std::vector<bsnn::Population>{{{populations}}},
        std::vector<bsnn::Connection>{{{connections}}},
        {steps},
        std::vector<bsnn::ArrayKind>{{{kinds}}}).serve();
}}
"""


class CudaNetworkTarget(OnGpu):
    """The program of a `Network`; derivatives are summed over its replicas in turn."""

    n_chunks: ClassVar[int] = 1  # replicas have sums of their own

    def here(self):
        """Return the target with all that this machine decides.

        Raises
        ------
        BackendUnavailable
            If there is no GPU.
        """
        capability = require_gpu()
        return self if self.arch is not None else replace(self, arch=capability)

    def build(self, network, *, precision, learn=None, estimator=None):
        """Return the folder of a network's compiled program, building it if need be.

        With the arguments of `CppNetworkTarget.build`. No GPU is needed where the
        architecture is given.

        Raises
        ------
        ValueError
            If the network has more parts than there is room for.
        BackendUnavailable
            If nvcc is not there, or there is no GPU to ask.
        BuildError
            If generating or compiling fails; the output is attached.
        """
        check_parts(network)
        arch = require_gpu() if self.arch is None else self.arch
        nvcc = find_nvcc()
        if nvcc is None:
            raise BackendUnavailable("nvcc was not found; see `bsnn doctor`.")
        flags = [*FLAGS, f"-arch=sm_{round(10 * arch)}"]
        return build(
            __name__,
            specify(network, precision=precision, learn=learn, estimator=estimator),
            lambda folder: _compile_in(folder, nvcc, flags),
            sources=_SOURCES,
            ingredients=(nvcc, *flags),
        )


def check_parts(network):
    """Raise ValueError if a network has too many parts for a block of threads."""
    for what, parts in (
        ("populations", network.populations),
        ("connections", network.connections),
    ):
        if len(parts) > MOST_PARTS:
            raise ValueError(
                f"'device' must be 'cpp' for a network of {len(parts)} {what}; on a "
                f"GPU there may be {MOST_PARTS}."
            )


def _compile_in(folder, nvcc, flags):
    command = [nvcc, *flags, "-I.", "main.cu", "-o", "main"]
    run_tool(command, "compiling the CUDA program failed.", folder)


def write_sources(specification, folder):
    """Write the CUDA project of a specification; runs in a process of its own."""
    import numpy as np
    from brian2 import device, prefs, second, set_device

    from bsnn.program.graph import build_graph

    from .codeobject import CudaGraphCodeObject

    network, options = read_specification(specification)
    single = options["precision"] == "single"
    prefs.core.default_float_dtype = np.float32 if single else np.float64
    for header in HEADERS:
        shutil.copy(PACKAGE / header, folder)
    set_device("cpp_standalone", build_on_run=False, directory=folder)
    estimator = of_program(*options["estimator"])
    graph = build_graph(
        network, CudaGraphCodeObject, options["learn"], estimator, lifts=False
    )
    for part in (graph.forward, graph.backward):
        if part is not None:
            part.run(0 * second, namespace={})
    device.build(directory=folder, compile=False, run=False)
    text = _program(device, graph, network, options)
    Path(folder, "main.cu").write_text(text, "utf-8")


def _program(device, graph, network, options):
    """Return the text of the one source file."""
    from brian2 import defaultclock
    from brian2.codegen.generators.cpp_generator import c_data_type
    from brian2.core.variables import DynamicArrayVariable

    arrays = [v for v in device.arrays if not isinstance(v, DynamicArrayVariable)]
    codes = list(device.code_objects.values())
    names = [codeobj.name for codeobj in codes]
    spelling = Spelling(
        pointer=lambda variable: str(arrays.index(variable)),
        values=lambda variable: str(arrays.index(variable)),
        code=lambda codeobj: str(names.index(codeobj.name)),
        nothing="-1",
    )
    described = describe(graph, network, options["learn"] or {}, spelling)
    neurons = [part.neuron for part in network.groups]
    moved = [
        len(n.states) + len(n.values) + len(n.currents)
        + len(n.parsed.stochastic_variables)
        for n in neurons
    ]  # fmt: skip
    lines, listed = "\n    ".join, ",\n        ".join
    of_clock = defaultclock.variables
    return _PROGRAM.format(
        single="#define BSNN_SINGLE\n" * (options["precision"] == "single"),
        n_populations=len(network.populations),
        n_connections=len(network.connections),
        n_states=sum(p.size * len(p.neuron.states) for p in network.groups) or 1,
        most_moved=max(moved, default=0) + 1,
        n_arrays=len(arrays),
        dt=spelling.pointer(of_clock["dt"]),
        t=spelling.pointer(of_clock["t"]),
        timestep=spelling.pointer(of_clock["timestep"]),
        arrays=lines(
            f"{c_data_type(v.dtype)}* {device.get_array_name(v, access_data=False)};"
            for v in arrays
        ),
        includes="\n".join(f'#include "code_objects/{name}.cpp"' for name in names),
        cases=lines(
            f"case {k}: of_{name}::run(own); break;" for k, name in enumerate(names)
        ),
        populations=listed(described.populations),
        connections=listed(described.connections),
        steps=described.steps,
        kinds=listed(
            braced([str(v.size), f"sizeof({c_data_type(v.dtype)})"]) for v in arrays
        ),
    )
