"""The C++ program of a `Network`: generated in a child process, compiled, kept."""

import json
import shutil
import sys

from bsnn.builds import sanitize_flags
from bsnn.delays import OF_CONNECTION, OF_SOURCE, OF_SYNAPSE
from bsnn.equations.adjoint import BEFORE, END, GRADIENT, LAMBDA, OPEN, SENT, SLOPE
from bsnn.equations.dimensions import NORMAL
from bsnn.equations.estimators import StraightThrough, of_program
from bsnn.equations.estimators.surrogate import HEIGHT, WIDTH
from bsnn.processes.brian2_files import import_brian2
from bsnn.program.build import PACKAGE, PROTOCOL, braced, build

from .target import COMPILE_FLAGS, compile_in

# Without NaN and infinity the compiler has vector exponentials: 8 ns become 1.7.
FLAGS = [flag for flag in COMPILE_FLAGS if flag != "-fno-finite-math-only"]
# A double constant would make the compiler compute single states in double.
SINGLE = ("-fsingle-precision-constant", "-DBSNN_SINGLE")
PRELUDE, LOOP = "graph_prelude.h", "graph.h"
HEADERS = (
    PROTOCOL,
    f"targets/cpp/native/{PRELUDE}",
    "targets/cpp/native/graph.h",
    "targets/cpp/native/graph_adjoint.h",
    "targets/cpp/native/graph_noise.h",
    "targets/cpp/native/graph_parts.h",
    "targets/cpp/native/graph_simulation.h",
)
_SOURCES = (
    *HEADERS,
    "delays.py",
    "program/graph.py",
    "targets/cpp/codeobject.py",
    "targets/cpp/graph.py",
    "targets/cpp/target.py",
    *(
        f"targets/cpp/templates/{name}.cpp"
        for name in (
            "adjoint_crossing",
            "adjoint_projection",
            "adjoint_visit",
            "pairs",
            "projection",
            "stateupdate",
            "threshold",
            "worth_projection",
        )
    ),
)


def build_network(network, *, precision, learn=None, estimator=None):
    """Return the folder of a network's compiled program, building it if need be.

    Parameters
    ----------
    network : Network
    precision : {"double", "single"}
    learn : dict of str to sequence of str, optional
        Parameters and currents of each population whose derivatives are wanted; without
        it the program has no backward pass.
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
        lambda folder: compile_in(
            folder, flags=_flags(precision), prelude=PRELUDE, loop=LOOP
        ),
        sources=_SOURCES,
        ingredients=_flags(precision),
    )


def _flags(precision):
    return [*FLAGS, *SINGLE] if precision == "single" else FLAGS


def specify(network, *, precision, learn, estimator=None):
    """Return what determines a program, beside sources and compiler: JSON.

    Texts and graph; every number of the network is data of the program.
    """
    values = network.to_dict()
    for population, part in zip(
        values["populations"], network.populations, strict=True
    ):
        if "neuron" in population:
            # One program for any values: their kinds are in the equations.
            population["texts"] = part.neuron.texts
            population["neuron"] = dict(
                population["neuron"],
                parameters=_kinds(population["neuron"]["parameters"]),
                initial={},
            )
    for connection in values["connections"]:
        if connection["pattern"]:  # data of the program, too
            connection["pattern"] = {"i": [0], "j": [0], "weight": [0]}
    for connection, part in zip(
        values["connections"], network.connections, strict=True
    ):
        connection["delay"] = part.delay_of
    values |= {"dt": 1e-3, "duration": 1.0}
    estimator = (estimator or StraightThrough()).program
    options = {"precision": precision, "learn": learn, "estimator": estimator}
    return json.dumps({"network": values, "options": options}, sort_keys=True)


def _kinds(parameters):
    """Return stand-ins for the values of parameters, no two alike."""
    kinds = {}
    for k, (name, given) in enumerate(sorted(parameters.items()), start=1):
        alone = not isinstance(given["value"], list)
        kinds[name] = {**given, "value": float(k) if alone else [float(k)]}
    return kinds


def _generate(specification, folder):
    """Write the C++ project of a specification; runs in a process of its own."""
    import_brian2()
    import numpy as np
    from brian2 import device, prefs, second, set_device

    from bsnn.program.graph import build_graph

    from .codeobject import graph_code

    network, options = read_specification(specification)
    single = options["precision"] == "single"
    prefs.core.default_float_dtype = np.float32 if single else np.float64
    flags = [*_flags(options["precision"]), *sanitize_flags()]
    prefs.codegen.cpp.extra_compile_args_gcc = flags
    for header in HEADERS:
        shutil.copy(PACKAGE / header, folder)
    set_device("cpp_standalone", build_on_run=False, directory=folder)
    changing = {"array_defaultclock_t", "array_defaultclock_timestep"} | {
        f"array_group_{p.name}_{name}"
        for p in network.groups
        for name in p.neuron.currents
    }
    code = graph_code(changing)
    estimator = of_program(*options["estimator"])
    graph = build_graph(network, code, options["learn"], estimator)
    for part in (graph.forward, graph.backward):
        if part is not None:
            part.run(0 * second, namespace={})
    device.insert_code("main", _serving_code(device, graph, network, options))
    device.build(directory=folder, compile=False, run=False)


def read_specification(specification):
    """Return the network, with stand-ins for its numbers, and the options."""
    from bsnn.network import Network

    values = json.loads(specification)
    for population in values["network"]["populations"]:
        size = population["size"]
        for given in population.get("neuron", {}).get("parameters", {}).values():
            if isinstance(given["value"], list):
                given["value"] = given["value"] * size
    sizes = {p["name"]: p["size"] for p in values["network"]["populations"]}
    for connection in values["network"]["connections"]:
        n_pre, n_post = sizes[connection["source"]], sizes[connection["target"]]
        pairs = [0.0] if connection["pattern"] else [[0.0] * n_post] * n_pre
        connection["delay"] = {
            OF_CONNECTION: 0.0,
            OF_SOURCE: [[0.0]] * n_pre,
            OF_SYNAPSE: pairs,
        }[connection["delay"]]
    return Network.from_dict(values["network"]), values["options"]


def _serving_code(device, graph, network, options):
    learn = options["learn"] or {}
    describe = [
        _population(device, graph, network, part, learn) for part in network.populations
    ]
    connections = [
        _connection(graph, network, index, learn)
        for index in range(len(network.connections))
    ]
    groups = [graph.groups[p.name] for p in network.groups]
    steps = [
        [_run(g.state_updater) for g in groups],
        [_run(t) for g in groups for t in g.thresholder.values()],
        [_run(r) for g in groups for r in g.resetter.values()],
    ]
    listed = ",\n        ".join
    in_order = ", ".join(braced(filter(None, step)) for step in steps)
    # Named types: braces alone may mean something else.
    return f"""
    bsnn::Program(
        defaultclock,
        std::vector<bsnn::Population>{{{listed(describe)}}},
        std::vector<bsnn::Connection>{{{listed(connections)}}},
        bsnn::Steps{{{in_order}}}, {str(graph.repeats).lower()}).serve();
    """


def _run(runner):
    return "" if runner.codeobj is None else f"_run_{runner.codeobj.name}"


def _population(device, graph, network, part, learn):
    """Return the fields of a `bsnn::Population`, in their order."""
    if part.name not in graph.groups:
        return f"bsnn::Population{{{part.size}, nullptr}}"
    neuron, group = part.neuron, graph.groups[part.name]

    def at(name):
        return f"&{device.get_array_name(group.variables[name], access_data=False)}"

    def pointers(prefix):
        if graph.backward is None:
            return "{}"
        return braced(at(prefix + state) for state in neuron.states)

    def arrays(prefix, names, shared):
        return braced(
            f"{{{at(prefix + name)}, {1 if name in shared else part.size}, "
            f"{str(name in shared).lower()}}}"
            for name in names
        )

    shared = {
        name for name in neuron.values if neuron.is_shared(name)
    } | neuron.shared_currents
    refractory = neuron.refractory is not None
    taped = refractory and graph.backward is not None
    wanted = learn.get(part.name, ())
    adjoint = graph.adjoints.get(part.name, {})
    codes = [
        _run(adjoint[name]) if name in adjoint else "nullptr"
        for name in ("reset", "update", "crossing", "release", "worth", "spike")
    ]
    crossing, at_once, arrived, flags, slopes = "{}", "true", (), (), ()
    if part.name in graph.derived:
        _, arrived, flags = graph.met[part.name]
        slopes = _slopes(graph, part.name, sorted(network.targeted(part.name)))
    if "crossing" in adjoint:
        derived = graph.derived[part.name]
        crossing = braced(
            at((LAMBDA if name in neuron.states else GRADIENT) + name)
            for name in derived.gains
        )
        at_once = str(graph.at_once[part.name]).lower()
    fires = neuron.threshold is not None
    fields = [
        str(part.size),
        at("_spikespace")[1:] if fires else "nullptr",
        pointers(""),
        pointers(BEFORE),
        pointers(END),
        pointers(LAMBDA),
        at("not_refractory") if refractory else "nullptr",
        at(OPEN) if taped else "nullptr",
        at("lastspike") if refractory else "nullptr",
        braced(str(neuron.states.index(name)) for name in part.record),
        arrays("", neuron.values, shared),
        arrays("", neuron.currents, shared),
        arrays(GRADIENT, [n for n in wanted if n in neuron.values], shared),
        arrays(GRADIENT, [n for n in wanted if n in neuron.currents], shared),
        braced(at(NORMAL + n) for n in sorted(neuron.parsed.stochastic_variables)),
        "true" if "release" in adjoint else "false",
        at("i"),
        crossing,
        at_once,
        braced(map(at, arrived)),
        braced(map(at, flags)),
        braced(slopes),
        *(at(n) if "spike" in adjoint else "nullptr" for n in (SENT, WIDTH, HEIGHT)),
        *codes,
    ]
    if graph.backward is None:
        fields[2] = braced(at(state) for state in neuron.states)
    return "bsnn::Population" + braced(fields)


def _connection(graph, network, index, learn):
    """Return the fields of a `bsnn::Connection`."""
    connection, synapse = network.connections[index], network.synapses[index]
    names, neuron = list(network.named), network.named[connection.target].neuron
    backward, slopes = "nullptr", []
    if graph.backward is not None:
        backward = _run(graph.adjoint_projections[index])
        slopes = _slopes(graph, connection.target, synapse.added)
    delayed = connection.delay_of != OF_CONNECTION
    added = [
        f"{{{neuron.states.index(name)}, {_flag(name in neuron.frozen_states)}}}"
        for name in synapse.added
        if delayed
    ]
    return "bsnn::Connection" + braced(
        [
            str(names.index(connection.source)),
            str(names.index(connection.target)),
            str(network.named[connection.source].size),
            str(network.named[connection.target].size),
            "0, 0, 0",
            _flag(connection.pattern is None),
            _flag(connection.delay_of == OF_SOURCE),
            _flag("delay" in learn.get(connection.name, ())),
            _run(graph.projections[index]),
            backward,
            braced(slopes),
            _run(graph.worths[index]) if index in graph.worths else "nullptr",
            braced(added),
        ]
    )


def _slopes(graph, population, variables):
    adjoint = graph.adjoints[population]
    return [_run(adjoint[SLOPE + v]) for v in variables if SLOPE + v in adjoint]


def _flag(value):
    return str(bool(value)).lower()


if __name__ == "__main__":
    _generate(*sys.argv[1:])
