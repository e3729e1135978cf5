"""From a `Network` to the Brian2 objects that simulate it, and to its adjoint's.

The loop of the program owns the steps, the spikes in flight and the inputs: it calls
the code objects that are made here, forwards in Brian2's order and backwards in its
reverse.
"""

from dataclasses import dataclass
from typing import NamedTuple

from brian2 import Network as BrianNetwork
from brian2 import NeuronGroup, defaultclock, prefs
from brian2.core.variables import Variables
from brian2.groups.group import CodeRunner, Group
from brian2.utils.stringtools import get_identifiers

from bsnn.delays import OF_CONNECTION
from bsnn.equations.adjoint import (
    BEFORE,
    END,
    GRADIENT,
    LAMBDA,
    OPEN,
    SENT,
    SLOPE,
    Adjoint,
)
from bsnn.equations.dimensions import NORMAL
from bsnn.equations.estimators.surrogate import HEIGHT, WIDTH
from bsnn.equations.lifted import Lifted
from bsnn.equations.synapse import ADDED, LEFT

_FLAGS = {"not_refractory", OPEN}


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Explicit Brian2 networks, forwards and backwards, and their parts by name."""

    forward: BrianNetwork
    backward: BrianNetwork | None
    groups: dict
    projections: tuple
    derived: dict  # population: Adjoint
    met: dict  # population: what arrivals meet there, see `_Met`
    adjoints: dict  # population: {"reset", "update", "crossing", "release", "_slope_v"}
    adjoint_projections: tuple
    worths: dict  # connection: what gives dL/ds of its spikes, under a surrogate
    at_once: dict  # population: whether a sample's crossings are found together
    fixed: list  # what computes, once for a batch, what no step changes
    reads_states: bool  # whether the adjoint reads states between spikes

    @property
    def repeats(self):
        """Whether the backward pass simulates again, needing more than crossings."""
        return self.reads_states or not all(self.at_once.values())


def build_graph(network, code, learn, estimator, *, lifts):
    """Write a network as Brian2 objects on the active device.

    Parameters
    ----------
    network : Network
    code : type
        Code object class of the target.
    learn : dict of str to sequence of str
        Parameters and currents of each population, and "delay" of each connection,
        whose derivatives are wanted; None for a network without a backward pass.
    estimator : StraightThrough or Surrogate
        What stands for the derivative of a spike.
    lifts : bool
        Whether what each neuron has for itself and no step changes is computed once for
        a batch, which the loop has to ask for.

    Returns
    -------
    graph : Graph
    """
    defaultclock.dt = network.dt
    lifted = {p.name: _lifted(p.neuron, lifts) for p in network.groups}
    groups = {
        population.name: _group(population, code, lifted[population.name])
        for population in network.groups
    }
    projections = tuple(
        _Projection(network, c, groups, code) for c in range(len(network.connections))
    )
    backward, derived, met, adjoints, adjoint_projections = None, {}, {}, {}, ()
    worths = {}
    if learn is not None:
        derived = {
            p.name: Adjoint(p.neuron, tuple(learn.get(p.name, ())))
            for p in network.groups
        }
        met = {name: _met(network, name, derived[name]) for name in derived}
        for population in network.groups:
            _add_arrays(groups[population.name], population, learn, estimator)
        adjoints = {
            p.name: _adjoint_runners(
                network,
                p,
                derived[p.name],
                met[p.name].bent,
                groups,
                code,
                estimator,
                lifted[p.name],
            )
            for p in network.groups
        }
        adjoint_projections = tuple(
            _AdjointProjection(
                network,
                c,
                groups,
                derived,
                met,
                code,
                "delay" in learn.get(joined.name, ()),
            )
            for c, joined in enumerate(network.connections)
        )
        worths = {
            c: _WorthProjection(network, c, groups, code)
            for c, joined in enumerate(network.connections)
            if not estimator.by_times and joined.source in groups
        }
        runners = [runner for named in adjoints.values() for runner in named.values()]
        backward = BrianNetwork(
            runners, adjoint_projections, list(worths.values()), name="network_backward"
        )
    fixed = [
        _fixed(groups[name], lifted[name], code)
        for name in groups
        if lifted[name].names
    ]
    return Graph(
        forward=BrianNetwork(
            list(groups.values()), projections, fixed, name="network_forward"
        ),
        backward=backward,
        groups=groups,
        projections=projections,
        derived=derived,
        met=met,
        adjoints=adjoints,
        adjoint_projections=adjoint_projections,
        worths=worths,
        at_once={
            p.name: not any(map(derived[p.name].reads, _changing(p.neuron)))
            for p in network.groups
            if p.name in derived and p.neuron.threshold is not None
        },
        fixed=fixed,
        reads_states=not estimator.by_times
        or any(
            _reads_states(runner, p.neuron)
            for p in network.groups
            for runner in _between_spikes(
                network, p.name, adjoints, adjoint_projections
            )
        ),
    )


def _changing(neuron):
    """Return the names that are alike for all neurons, or noise, and change."""
    noise = (NORMAL + name for name in neuron.parsed.stochastic_variables)
    return "t", *neuron.shared_currents, *noise


def _between_spikes(network, name, adjoints, projections):
    """Return the runners that visit neurons of a population where they do not spike."""
    named = adjoints.get(name, {})
    yield from (r for n, r in named.items() if n not in ("reset", "crossing"))
    for connection, projection in zip(network.connections, projections, strict=False):
        if connection.target == name:
            yield projection


def _reads_states(runner, neuron):
    """Return whether code reads what the forward pass made of a neuron."""
    states = {prefix + state for prefix in ("", END) for state in neuron.states}
    states |= _FLAGS
    states |= {NORMAL + name for name in neuron.parsed.stochastic_variables}
    return bool(states & get_identifiers(runner.abstract_code))


def _lifted(neuron, lifts):
    values = set(neuron.values)
    shared = {name for name in values if neuron.is_shared(name)}
    return Lifted(values - shared if lifts else set(), {*shared, "dt"})


def _fixed(group, lifted, code):
    """Return what computes the fixed values of a group."""
    for name in lifted.names:
        _add_array(group, name)
    name, real = f"{group.name}_fixed", prefs.core.default_float_dtype
    return _Runner(group, "stateupdate", lifted.code, code, name=name, real=real)


def _group(population, code, lifted):
    neuron = population.neuron
    update = lifted.of(neuron.update)
    group = NeuronGroup(
        population.size,
        neuron.group_equations,
        threshold=neuron.threshold,
        reset=neuron.reset or None,
        refractory=neuron.refractory_text,
        method=lambda *_, **__: update,
        namespace={},
        name=f"group_{population.name}",
        codeobj_class=code,
    )
    for name in neuron.parsed.stochastic_variables:
        _add_array(group, NORMAL + name)
    return group


def _add_array(group, name, dtype=None):
    group.variables.add_array(name, size=len(group), dtype=dtype)


def _add_arrays(group, population, learn, estimator):
    """Add to a group what its adjoint reads and writes."""
    neuron = population.neuron
    for state in neuron.states:
        for prefix in (LAMBDA, BEFORE, END, SLOPE):
            _add_array(group, prefix + state)
    variables = group.variables
    group.state_updater.template_kwds = {
        "before": [(variables[s], variables[BEFORE + s]) for s in neuron.states]
    }
    for name in learn.get(population.name, ()):
        _add_array(group, GRADIENT + name)
    if neuron.refractory is not None:
        _add_array(group, OPEN, bool)
    if not estimator.by_times and neuron.threshold is not None:
        _add_array(group, SENT)
        for name in (WIDTH, HEIGHT):
            variables.add_array(name, size=1, scalar=True)


def _adjoint_runners(
    network, population, adjoint, bent, groups, code, estimator, lifted
):
    """Return the adjoint of a population's step, piece by piece."""
    group = groups[population.name]
    index = network.populations.index(population)
    fires = population.neuron.threshold is not None
    targeted = () if bent else network.targeted(population.name)
    texts = {"update": ("stateupdate", adjoint.update())}
    if fires:
        texts["reset"] = ("adjoint_visit", adjoint.reset())
    if fires and not estimator.by_times:
        texts["worth"] = ("stateupdate", adjoint.worth())
        texts["spike"] = ("stateupdate", adjoint.spike(estimator))
    elif fires:
        texts["crossing"] = ("adjoint_crossing", adjoint.crossing())
    if fires and estimator.by_times and adjoint.dynamics.can_freeze:
        texts["release"] = ("adjoint_visit", adjoint.release())
    # No user's name begins with an underscore, so none is one of those above.
    for v in sorted(targeted):
        texts[SLOPE + v] = ("stateupdate", adjoint.arrival(v))
    for name, (template, text) in texts.items():
        if template == "stateupdate":  # which visits all neurons in each step
            texts[name] = template, lifted.of(text, regroup=True)
    real = prefs.core.default_float_dtype
    return {
        name: _Runner(
            group,
            template,
            text,
            code,
            name=f"{group.name}_adjoint_{name}",
            real=real,
            population=index,
            visits="released" if name == "release" else "fired",
            by_spike=name == "release",
            precision="1e-6" if real().itemsize == 4 else "1e-14",
            # At 0 the rate of noise, 1/sqrt(h), has no value that processors agree on.
            start="1e-30" if population.neuron.parsed.stochastic_variables else "0",
            gains=adjoint.gains if name == "crossing" else (),
            crossing=estimator.crossing if name == "crossing" else None,
        )
        for name, (template, text) in texts.items()
    }


class _Runner(CodeRunner):
    """Derived code of a group, which names the group's variables."""

    add_to_magic_network = False
    invalidates_magic_network = False

    def __init__(self, group, template, text, code, *, name, real, **options):
        from brian2.codegen.generators.cpp_generator import c_data_type

        self.variables = Variables(self)
        for auxiliary in ("_shift", "_margin", "_steepness", "_h"):
            self.variables.add_auxiliary_variable(auxiliary, dtype=real)
        CodeRunner.__init__(
            self,
            group,
            template,
            code=text,
            when="start",
            name=name,
            check_units=False,
            override_conditional_write=["not_refractory"],
            template_kwds={"real": c_data_type(real), **options},
            codeobj_class=code,
        )


class _Projection(CodeRunner, Group):
    """What the spikes of one population do to another: see `projection.cpp`."""

    add_to_magic_network = False
    invalidates_magic_network = False
    _template, _when = "projection", "synapses"

    def __init__(self, network, index, groups, code):
        connection, synapse = network.connections[index], network.synapses[index]
        delayed = connection.delay_of != OF_CONNECTION
        options = {"added": [ADDED + name for name in synapse.added], "target": None}
        needed = []
        if synapse.is_plain and not delayed:
            (variable,) = synapse.added
            options["target"] = groups[connection.target].variables[variable]
            needed = [variable]
        text = synapse.addition if delayed else synapse.code
        self._make(network, index, groups, code, text, options, needed)

    def _make(self, network, index, groups, code, text, options, needed=(), read=()):
        """Make the runner, whose template defines the names in `read`."""
        from brian2.codegen.generators.cpp_generator import c_data_type

        connection = network.connections[index]
        target = groups[connection.target]
        real = target.variables[network.named[connection.target].neuron.states[0]].dtype
        self.variables = Variables(self)
        for name in ("w", "_dw", "_shift", *options.get("added", ()), *read):
            dtype = bool if name in _FLAGS else real
            self.variables.add_auxiliary_variable(name, dtype=dtype)
        CodeRunner.__init__(
            self,
            target,
            self._template,
            code=text,
            when=self._when,
            order=index,
            name=f"{self._template}_{index}",
            check_units=False,
            needed_variables=list(needed),
            template_kwds={
                "real": c_data_type(real),
                "connection": index,
                "n_post": len(target),
                "dense": connection.pattern is None,
                "delay_of": connection.delay_of,
                **options,
            },
            codeobj_class=code,
        )


class _AdjointProjection(_Projection):
    """Its adjoint: see `adjoint_projection.cpp`.

    Where spikes arrive after delays of their own it reads what each neuron was like
    then.
    """

    _template, _when = "adjoint_projection", "start"

    def __init__(self, network, index, groups, derived, met, code, learns_delay):
        connection = network.connections[index]
        adjoint, synapse = derived[connection.target], network.synapses[index]
        bent, arrived, flags = met[connection.target]
        text = synapse.adjoint(adjoint, bent)
        if connection.delay_of == OF_CONNECTION:
            arrived, flags = (), ()
        variables = groups[connection.target].variables
        left = {LEFT + n: variables[END + n] for n in synapse.added if bent}
        options = {
            "arrived": arrived,
            "flags": flags,
            "left": [(name, end.name, end) for name, end in left.items()],
            "learns_delay": learns_delay,
        }
        read = [*arrived, *flags, *left]
        self._make(network, index, groups, code, text, options, read=read)


class _WorthProjection(_Projection):
    """What spikes give to those they reach, sent or not: see `worth_projection.cpp`."""

    _template, _when = "worth_projection", "start"

    def __init__(self, network, index, groups, code):
        text = network.synapses[index].worth()
        n_pre = network.named[network.connections[index].source].size
        options = {"n_pre": n_pre}
        self._make(network, index, groups, code, text, options, read=["_gain"])


class _Met(NamedTuple):
    """What arrivals meet in a population.

    Whether its rates bend in what they add to; and, of those after delays of their own,
    the names of numbers and of flags that the next step overwrites.
    """

    bent: bool
    arrived: list
    flags: list


def _met(network, population, adjoint):
    neuron = network.named[population].neuron
    bent = adjoint.bends(network.targeted(population))
    read = set()
    for connection, synapse in zip(network.connections, network.synapses, strict=True):
        if connection.target == population and connection.delay_of != OF_CONNECTION:
            read |= synapse.met(adjoint, bent)
    passing = {p + s for p in (LAMBDA, SLOPE, END) for s in neuron.states}
    arrived = sorted(read & (passing | {*neuron.currents}))
    return _Met(bent, arrived, sorted(read & _FLAGS))
