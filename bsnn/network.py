"""Networks of any neurons as plain data: inputs, populations and what joins them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple

import numpy as np
from brian2.units import Quantity, second

from bsnn.delays import as_delay, check_delay_shape, delay_kind, delay_steps
from bsnn.equations import time_rules
from bsnn.equations.neuron import Neuron
from bsnn.equations.synapse import Synapse
from bsnn.equations.units import as_int, as_number, in_seconds, positive_seconds
from bsnn.patterns import Pattern

MAX_PARTS = 256  # populations, and connections, of a program: see native/graph.cpp
_NAME = r"[A-Za-z][A-Za-z0-9_]*"


@dataclass(frozen=True)
class Inputs:
    """Neurons whose spikes come with each sample.

    Parameters
    ----------
    name : str
    size : int
    """

    name: str
    size: int

    def __post_init__(self):
        _check_name(self.name)
        object.__setattr__(self, "size", as_int(self.size, "size", least=1))


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one kind.

    Parameters
    ----------
    name : str
    size : int
    neuron : Neuron
    record : sequence of str
        Variables whose traces are wanted, as a ``StateMonitor`` records them: at the
        start of each step.

    Raises
    ------
    TypeError
        If `neuron` is no `Neuron`.
    ValueError
        If the neuron has values for another number of neurons, or no such variable.
    """

    name: str
    size: int
    neuron: Neuron
    _: KW_ONLY
    record: Sequence[str] = ()

    def __post_init__(self):
        _check_name(self.name)
        object.__setattr__(self, "size", as_int(self.size, "size", least=1))
        if not isinstance(self.neuron, Neuron):
            raise TypeError(
                f"'neuron' of {self.name!r} must be a Neuron, got {self.neuron!r}."
            )
        if self.neuron.size not in (None, self.size):
            raise ValueError(
                f"population {self.name!r} has {self.size} neurons, but its neuron has "
                f"values for {self.neuron.size}."
            )
        record = (self.record,) if isinstance(self.record, str) else self.record
        object.__setattr__(self, "record", tuple(record))
        for name in self.record:
            if name not in self.neuron.states:
                raise ValueError(
                    f"'record' of {self.name!r} names {name!r}, which is no variable "
                    f"of its neuron; they are {', '.join(self.neuron.states)}."
                )


@dataclass(frozen=True, eq=False)
class Connection:
    """Synapses from one population to another.

    Parameters
    ----------
    source, target : str
        Names of populations.
    on_pre : str
        What a spike does, as ``"i_syn += w"`` or ``"g_e += w*nS"``: it adds an
        expression of the weight `w`, constants and parameters of the target.
    delay : Quantity
        From the end of the step in which a neuron fires, in whole steps on the grid:
        of the connection; of each neuron of the source, shape (n_pre, 1); or of each
        synapse, shape (n_pre, n_post), or (n_pairs,) in the order of a pattern's pairs.
    pattern : Pattern, optional
        Which pairs it joins, and which of them share a weight, see `bsnn.patterns`;
        unless given, each neuron of the source with each of the target.
    name : str, optional
        Needed where two connections join the same pair; "source->target" unless given.
    """

    source: str
    target: str
    _: KW_ONLY
    on_pre: str
    delay: Quantity = field(default_factory=lambda: 0 * second)
    pattern: Pattern | None = None
    name: str | None = None

    def __post_init__(self):
        if not isinstance(self.on_pre, str):
            raise TypeError(f"'on_pre' must be text, got {self.on_pre!r}.")
        if not isinstance(self.pattern, Pattern | None):
            raise TypeError(f"'pattern' must be a Pattern, got {self.pattern!r}.")
        object.__setattr__(self, "delay", as_delay(self.delay))
        if self.name is None:
            object.__setattr__(self, "name", f"{self.source}->{self.target}")

    @property
    def delay_of(self) -> str:
        """Who has a delay: the "connection", each "source" neuron or each "synapse"."""
        return delay_kind(self.delay)


class Entrance(NamedTuple):
    """What the gate of `bsnn.gate` asks of whatever takes spikes."""

    n_inputs: int
    dt_seconds: float
    duration_seconds: float
    n_steps: int
    time_rule: object


@dataclass(frozen=True, eq=False)
class Network:
    """Populations, what joins them, and the clock.

    Parameters
    ----------
    populations : sequence of Inputs and Population
    connections : sequence of Connection
    dt : Quantity
        Time step of the simulation.
    duration : Quantity
        Of a sample.

    Raises
    ------
    TypeError
        If a part is of another kind, or a time a bare number.
    ValueError
        If names are unknown or not unique, or a part does not fit another.
    """

    populations: Sequence[Inputs | Population]
    connections: Sequence[Connection]
    _: KW_ONLY
    dt: Quantity
    duration: Quantity

    def __post_init__(self):
        for name, kind in (
            ("populations", (Inputs, Population)),
            ("connections", (Connection,)),
        ):
            parts = tuple(getattr(self, name))
            object.__setattr__(self, name, parts)
            for part in parts:
                if not isinstance(part, kind):
                    wanted = " or ".join(k.__name__ for k in kind)
                    raise TypeError(f"'{name}' must hold {wanted}, got {part!r}.")
            if len(parts) > MAX_PARTS:
                raise ValueError(
                    f"'{name}' must not be more than {MAX_PARTS}, got {len(parts)}."
                )
            names = [part.name for part in parts]
            twice = {n for n in names if names.count(n) > 1}
            if twice:
                raise ValueError(
                    f"'{name}' must have different names, got {sorted(twice)} twice."
                )
        if not self.groups:
            raise ValueError("'populations' must hold a Population of neurons.")
        positive_seconds(self.dt, "dt"), positive_seconds(self.duration, "duration")
        for connection in self.connections:
            if connection.name in self.named:
                raise ValueError(
                    f"connection {connection.name!r} must not have the name of a "
                    "population."
                )
            for end in ("source", "target"):
                if getattr(connection, end) not in self.named:
                    raise ValueError(
                        f"'{end}' of a connection names {getattr(connection, end)!r}; "
                        f"the populations are {', '.join(self.named)}."
                    )
            source, target = (
                self.named[connection.source],
                self.named[connection.target],
            )
            if isinstance(target, Inputs):
                raise ValueError(
                    f"connection {connection.name!r} leads to the inputs "
                    f"{target.name!r}, which nothing can drive."
                )
            if isinstance(source, Population) and source.neuron.threshold is None:
                raise ValueError(
                    f"connection {connection.name!r} begins at {source.name!r}, whose "
                    "neurons have no threshold and never fire."
                )
            if connection.pattern is not None:
                connection.pattern.check(source.size, target.size, connection.name)
            check_delay_shape(
                connection.delay,
                source.size,
                target.size,
                connection.pattern,
                connection.name,
            )
        _ = self.synapses, self.delays

    @functools.cached_property
    def named(self) -> dict:
        """Populations by name."""
        return {part.name: part for part in self.populations}

    @functools.cached_property
    def inputs(self) -> tuple[Inputs, ...]:
        return tuple(p for p in self.populations if isinstance(p, Inputs))

    @property
    def n_inputs(self) -> int:
        """Neurons of the only inputs.

        Raises
        ------
        ValueError
            If there are none, or several.
        """
        if len(self.inputs) != 1:
            names = ", ".join(part.name for part in self.inputs)
            raise ValueError(f"the network has no single inputs, but: {names}.")
        return self.inputs[0].size

    @functools.cached_property
    def groups(self) -> tuple[Population, ...]:
        """Populations that are simulated."""
        return tuple(p for p in self.populations if isinstance(p, Population))

    @functools.cached_property
    def synapses(self) -> tuple[Synapse, ...]:
        """What a spike does, for each connection."""
        return tuple(
            Synapse(c.on_pre, self.named[c.target].neuron, c.name)
            for c in self.connections
        )

    def targeted(self, population: str) -> set[str]:
        """Return the variables of a population that synapses add to."""
        return {
            variable
            for connection, synapse in zip(self.connections, self.synapses, strict=True)
            if connection.target == population
            for variable in synapse.added
        }

    def entrance(self, inputs: Inputs) -> Entrance:
        """Return what the spikes of some inputs must fit."""
        rule = time_rules.named("grid")
        clock = self.dt_seconds, self.duration_seconds, self.n_steps
        return Entrance(inputs.size, *clock, rule)

    @functools.cached_property
    def dt_seconds(self) -> float:
        return in_seconds(self.dt, "dt")

    @functools.cached_property
    def duration_seconds(self) -> float:
        return in_seconds(self.duration, "duration")

    @functools.cached_property
    def n_steps(self) -> int:
        """Whole steps in a sample."""
        return time_rules.named("grid").n_steps(self.duration_seconds, self.dt_seconds)

    @functools.cached_property
    def delays(self) -> tuple[np.ndarray, ...]:
        """Steps of each connection's delays, as Brian2 rounds them."""
        return tuple(self.steps_of(c, c.delay / second) for c in self.connections)

    def steps_of(self, connection: Connection, seconds) -> np.ndarray:
        """Return delays of a connection in whole steps, as Brian2 rounds them.

        Raises
        ------
        ValueError
            If a spike could not arrive before the end of a sample.
        """
        return delay_steps(seconds, self.dt_seconds, self.n_steps, connection.name)

    @functools.cached_property
    def weight_shapes(self) -> tuple[tuple[int, ...], ...]:
        """(n_pre, n_post) of each connection's weights; (n_weights,) of a pattern's."""
        return tuple(
            (self.named[c.source].size, self.named[c.target].size)
            if c.pattern is None
            else (c.pattern.n_weights,)
            for c in self.connections
        )

    def to_dict(self) -> dict:
        """Return what `from_dict` needs: texts and plain SI numbers, ready for JSON."""
        return {
            "populations": [
                {"name": p.name, "size": p.size}
                if isinstance(p, Inputs)
                else {
                    "name": p.name,
                    "size": p.size,
                    "neuron": p.neuron.to_dict(),
                    "record": list(p.record),
                }
                for p in self.populations
            ],
            "connections": [
                {
                    "source": c.source,
                    "target": c.target,
                    "on_pre": c.on_pre,
                    "delay": np.asarray(c.delay / second).tolist(),
                    "pattern": c.pattern and c.pattern.to_dict(),
                    "name": c.name,
                }
                for c in self.connections
            ],
            "dt": self.dt_seconds,
            "duration": self.duration_seconds,
        }

    def __reduce__(self):
        return Network.from_dict, (self.to_dict(),)

    def __deepcopy__(self, _):
        return self  # nothing changes it

    @classmethod
    def from_brian2(cls, objects, *, duration: Quantity, namespace=None):
        """Take over a network of Brian2 objects, to train it and to put it back.

        A ``NeuronGroup`` becomes a `Population`, a ``SpikeGeneratorGroup`` or
        ``PoissonGroup`` an `Inputs`, and ``Synapses`` a `Connection`, under the names
        that they have. Samples begin with the groups' present state; the weight is the
        variable that ``on_pre`` reads, or else the constant, which all pairs then
        share. A ``StateMonitor`` names what is recorded. The objects stay as they are.

        Parameters
        ----------
        objects : brian2.Network, or sequence of Brian2 objects
            All of a network, not yet run; ``brian2.collect()`` gives those that
            ``brian2.run`` would take.
        duration : Quantity
            Of a sample.
        namespace : dict, optional
            Values of names in the texts that the objects have none for, as for
            ``brian2.run``; unless given, what the caller sees by these names.

        Returns
        -------
        taken : TakenNetwork
            With the `network`, its `weights`, its `inputs` and `put_back`.

        Raises
        ------
        TypeError, ValueError
            If an object cannot be taken over; which one and why is said.
        """
        from .from_brian2.taken import TakenNetwork, read

        found = read(objects, namespace, level=1)
        populations = [Inputs(**given) for given in found.inputs]
        populations += [Population(**given) for given in found.populations]
        connections = [Connection(**given) for given in found.connections]
        network = cls(populations, connections, dt=found.dt, duration=duration)
        return TakenNetwork(network, found)

    @classmethod
    def from_dict(cls, values: Mapping) -> Network:
        """Return the network that `to_dict` wrote.

        Raises
        ------
        TypeError, ValueError
            If `values` are not those of a network.
        """
        try:
            populations = [
                Population(
                    p["name"],
                    p["size"],
                    Neuron.from_dict(p["neuron"]),
                    record=p["record"],
                )
                if "neuron" in p
                else Inputs(p["name"], p["size"])
                for p in values["populations"]
            ]
            connections = [
                Connection(
                    c["source"],
                    c["target"],
                    on_pre=c["on_pre"],
                    delay=_read_delay(c["delay"]),
                    pattern=c["pattern"] and Pattern.from_dict(c["pattern"]),
                    name=c["name"],
                )
                for c in values["connections"]
            ]
            times = {n: as_number(values[n], n) * second for n in ("dt", "duration")}
        except (KeyError, AttributeError) as error:
            raise ValueError(f"'values' describe no network ({error!r}).") from error
        return cls(populations, connections, **times)


def _read_delay(values):
    if not isinstance(values, list):
        return as_number(values, "delay") * second
    try:
        return Quantity(np.array(values, float), dim=second.dim)
    except (TypeError, ValueError) as error:
        raise ValueError(f"'delay' describes no delays ({error}).") from error


def _check_name(name):
    if not isinstance(name, str) or not re.fullmatch(_NAME, name):
        raise ValueError(
            "'name' of a population must be a word of letters, digits and underscores "
            f"that begins with a letter, got {name!r}."
        )
