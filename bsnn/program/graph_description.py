"""What the loop of a network's program is told of it: populations, connections, steps.

The structs of every target have these fields in this order; how an array or a piece of
code is named there is its `Spelling`.
"""

from dataclasses import dataclass
from typing import NamedTuple

from bsnn.delays import OF_CONNECTION, OF_SOURCE
from bsnn.equations.adjoint import BEFORE, END, GRADIENT, LAMBDA, OPEN, SENT, SLOPE
from bsnn.equations.dimensions import NORMAL
from bsnn.equations.estimators.surrogate import HEIGHT, WIDTH

from .build import braced


class Description(NamedTuple):
    """Texts, each the initialiser of a struct."""

    populations: list
    connections: list
    steps: str


@dataclass(frozen=True)
class Spelling:
    """How a target writes what its structs hold.

    Parameters
    ----------
    pointer : callable
        Of a variable, where its array is kept, so that the loop can put another there.
    values : callable
        Of a variable, its array.
    code : callable
        Of a code object, what runs it.
    nothing : str
        Where there is no such thing.
    """

    pointer: object
    values: object
    code: object
    nothing: str

    def run(self, runner):
        """Return what runs a Brian2 object, or "" where it has nothing to do."""
        return "" if runner.codeobj is None else self.code(runner.codeobj)


def describe(graph, network, learn, spelling):
    """Return the `Description` of a network.

    Parameters
    ----------
    graph : Graph
    network : Network
    learn : dict of str to sequence of str
        As of `build_graph`.
    spelling : Spelling
    """
    groups = [graph.groups[p.name] for p in network.groups]
    steps = [
        [spelling.run(g.state_updater) for g in groups],
        [spelling.run(t) for g in groups for t in g.thresholder.values()],
        [spelling.run(r) for g in groups for r in g.resetter.values()],
    ]
    if graph.fixed:  # only where the loop asks for it
        steps.append([spelling.run(f) for f in graph.fixed])
    in_order = ", ".join(braced(filter(None, step)) for step in steps)
    return Description(
        [
            _population(graph, network, part, learn, spelling)
            for part in network.populations
        ],
        [
            _connection(graph, network, index, learn, spelling)
            for index in range(len(network.connections))
        ],
        # Named types: braces alone may mean something else.
        f"bsnn::Steps{{{in_order}}}",
    )


def _population(graph, network, part, learn, spelling):
    """Return the fields of a `bsnn::Population`, in their order."""
    if part.name not in graph.groups:
        return f"bsnn::Population{{{part.size}, {spelling.nothing}}}"
    neuron, group = part.neuron, graph.groups[part.name]
    nothing = spelling.nothing

    def at(name):
        return spelling.pointer(group.variables[name])

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
        spelling.run(adjoint[name]) if name in adjoint else nothing
        for name in ("reset", "update", "crossing", "release", "worth", "spike")
    ]
    crossing, at_once, arrived, flags, slopes = "{}", "true", (), (), ()
    if part.name in graph.derived:
        _, arrived, flags = graph.met[part.name]
        targeted = sorted(network.targeted(part.name))
        slopes = _slopes(graph, part.name, targeted, spelling)
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
        spelling.values(group.variables["_spikespace"]) if fires else nothing,
        pointers(""),
        pointers(BEFORE),
        pointers(END),
        pointers(LAMBDA),
        at("not_refractory") if refractory else nothing,
        at(OPEN) if taped else nothing,
        at("lastspike") if refractory else nothing,
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
        *(at(n) if "spike" in adjoint else nothing for n in (SENT, WIDTH, HEIGHT)),
        *codes,
    ]
    if graph.backward is None:
        fields[2] = braced(at(state) for state in neuron.states)
    return "bsnn::Population" + braced(fields)


def _connection(graph, network, index, learn, spelling):
    """Return the fields of a `bsnn::Connection`."""
    connection, synapse = network.connections[index], network.synapses[index]
    names, neuron = list(network.named), network.named[connection.target].neuron
    backward, slopes = spelling.nothing, []
    if graph.backward is not None:
        backward = spelling.run(graph.adjoint_projections[index])
        slopes = _slopes(graph, connection.target, synapse.added, spelling)
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
            spelling.run(graph.projections[index]),
            backward,
            braced(slopes),
            spelling.run(graph.worths[index])
            if index in graph.worths
            else spelling.nothing,
            braced(added),
        ]
    )


def _slopes(graph, population, variables, spelling):
    adjoint = graph.adjoints[population]
    found = (SLOPE + v for v in variables)
    return [spelling.run(adjoint[name]) for name in found if name in adjoint]


def _flag(value):
    return str(bool(value)).lower()
