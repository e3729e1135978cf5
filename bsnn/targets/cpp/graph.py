"""The C++ program of a `Network`: generated in a child process, compiled, kept."""

from bsnn.builds import profile_flags
from bsnn.equations.estimators import of_program
from bsnn.program.build import PROTOCOL, build
from bsnn.program.graph_description import Spelling, describe
from bsnn.program.graph_specification import read_specification, specify

from .target import COMPILE_FLAGS, Loop, compile_in

# Without NaN and infinity the compiler has vector exponentials: 8 ns become 1.7.
FLAGS = [flag for flag in COMPILE_FLAGS if flag != "-fno-finite-math-only"]
# A double constant would make the compiler compute single states in double.
SINGLE = ("-fsingle-precision-constant", "-DBSNN_SINGLE")
_NATIVE = "targets/cpp/native"
LOOP = Loop(
    f"{_NATIVE}/graph_prelude.h",
    f"{_NATIVE}/graph.cpp",
    (
        PROTOCOL,
        f"{_NATIVE}/prelude.h",
        f"{_NATIVE}/flags.h",
        *(
            f"{_NATIVE}/graph_{part}.h"
            for part in ("adjoint", "noise", "parts", "profile", "simulation", "visits")
        ),
    ),
)
# What writes the program of a network, in C++ or CUDA.
SHARED_SOURCES = (
    "delays.py",
    "program/graph.py",
    "program/graph_description.py",
    "program/graph_specification.py",
    "targets/cpp/codeobject.py",
    *(
        f"targets/cpp/templates/{name}.cpp"
        for name in (
            "adjoint_crossing",
            "adjoint_projection",
            "adjoint_visit",
            "pairs",
            "projection",
            "stateupdate",
            "worth_projection",
        )
    ),
)
_SOURCES = (
    *LOOP.files,
    *SHARED_SOURCES,
    "targets/cpp/graph.py",
    "targets/cpp/target.py",
    "targets/cpp/units.py",
    "targets/cpp/templates/threshold.cpp",
)


class CppNetworkTarget:
    """C++ for the cores of this machine: a program each, which share the batches."""

    one_program = False
    replicas = None
    # Samples of a batch are summed in this many groups, whatever the number of workers,
    # so that sums have one order.
    n_chunks = 8

    def build(self, network, *, precision, learn=None, estimator=None):
        """Return the folder of a network's compiled program, building it if need be.

        Parameters
        ----------
        network : Network
        precision : {"double", "single"}
        learn : dict of str to sequence of str, optional
            Parameters and currents of each population whose derivatives are wanted;
            without it the program has no backward pass.
        estimator : StraightThrough or Surrogate, optional
            What stands for the derivative of a spike; `StraightThrough()` unless given.

        Raises
        ------
        BackendUnavailable
            If there is no compiler.
        BuildError
            If generating or compiling fails; the output is attached.
        """
        return build(
            __name__,
            specify(network, precision=precision, learn=learn, estimator=estimator),
            lambda folder: compile_in(folder, flags=_flags(precision), loop=LOOP),
            sources=_SOURCES,
            ingredients=_flags(precision),
        )


def _flags(precision):
    return [*FLAGS, *(SINGLE if precision == "single" else ()), *profile_flags()]


def write_sources(specification, folder):
    """Write the C++ project of a specification; runs in a process of its own."""
    import numpy as np
    from brian2 import device, prefs, second, set_device

    from bsnn.program.graph import build_graph

    from .codeobject import graph_code

    network, options = read_specification(specification)
    single = options["precision"] == "single"
    prefs.core.default_float_dtype = np.float32 if single else np.float64
    prefs.codegen.cpp.extra_compile_args = []  # `compile_in` has them
    set_device("cpp_standalone", build_on_run=False, directory=folder)
    changing = {"array_defaultclock_t", "array_defaultclock_timestep"} | {
        f"array_group_{p.name}_{name}"
        for p in network.groups
        for name in p.neuron.currents
    }
    code = graph_code(changing)
    estimator = of_program(*options["estimator"])
    graph = build_graph(network, code, options["learn"], estimator, lifts=True)
    for part in (graph.forward, graph.backward):
        if part is not None:
            part.run(0 * second, namespace={})
    device.insert_code("main", _serving_code(device, graph, network, options))
    device.build(directory=folder, compile=False, run=False)


def _serving_code(device, graph, network, options):
    spelling = Spelling(
        pointer=lambda v: f"&{device.get_array_name(v, access_data=False)}",
        values=lambda v: device.get_array_name(v, access_data=False),
        code=lambda codeobj: f"BSNN_CODE({codeobj.name})",
        nothing="nullptr",
    )
    described = describe(graph, network, options["learn"] or {}, spelling)
    listed = ",\n        ".join
    return f"""
    bsnn::serve(
        defaultclock,
        std::vector<bsnn::Population>{{{listed(described.populations)}}},
        std::vector<bsnn::Connection>{{{listed(described.connections)}}},
        {described.steps}, {str(graph.repeats).lower()});
    """
