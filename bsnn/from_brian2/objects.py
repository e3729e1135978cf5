"""Which Brian2 objects there are, and whether they run as a `Network` does.

In each step of a `Network` come state updates, thresholds, synapses and resets, of all
populations at once: Brian2's own order, unless a script says otherwise.
"""

from collections.abc import Iterable, Mapping

from brian2.core.base import BrianObject
from brian2.core.magic import MagicNetwork
from brian2.core.network import Network
from brian2.core.preferences import prefs
from brian2.devices.device import RuntimeDevice
from brian2.groups.neurongroup import (
    NeuronGroup,
    Resetter,
    StateUpdater,
    SubexpressionUpdater,
    Thresholder,
)
from brian2.groups.subgroup import Subgroup
from brian2.input.poissongroup import PoissonGroup
from brian2.input.spikegeneratorgroup import SpikeGeneratorGroup
from brian2.monitors.ratemonitor import PopulationRateMonitor
from brian2.monitors.spikemonitor import SpikeMonitor
from brian2.monitors.statemonitor import StateMonitor
from brian2.synapses.synapses import StateUpdater as SynapticUpdater
from brian2.synapses.synapses import SummedVariableUpdater, Synapses, SynapticPathway
from brian2.units import second

from .refusal import refusal

SOURCES = SpikeGeneratorGroup, PoissonGroup
_KINDS = (
    NeuronGroup,
    *SOURCES,
    Synapses,
    StateMonitor,
    SpikeMonitor,
    PopulationRateMonitor,
    Subgroup,
)
_PARTS = (
    StateUpdater,
    Thresholder,
    Resetter,
    SynapticPathway,
    SubexpressionUpdater,  # refused with the equations, as the next two are
    SynapticUpdater,
    SummedVariableUpdater,
)
_SCHEDULE = ["start", "groups", "thresholds", "synapses", "resets", "end"]
_SLOTS = {
    StateMonitor: "start",
    StateUpdater: "groups",
    Thresholder: "thresholds",
    SpikeGeneratorGroup: "thresholds",
    SynapticPathway: "synapses",
    Resetter: "resets",
}
_REMEDIES = {
    "NetworkOperation": "it runs Python in every step; write what it does into the "
    "equations.",
    "CodeRunner": "it runs at times of its own (run_regularly); write what it does "
    "into the equations.",
    "PoissonInput": "write it as a PoissonGroup with Synapses.",
    "SpatialNeuron": "compartments that are coupled in space are not simulated here.",
    "EventMonitor": "spikes are the only events here.",
}


def objects_of(given):
    """Return the Brian2 objects of a network or of containers, ordered by name.

    Raises
    ------
    TypeError
        If there is something else among them.
    ValueError
        If one of them cannot be taken over, or does not run as a `Network` does.
    """
    if isinstance(given, MagicNetwork):
        raise refusal(
            given, "it forgets its objects after each run; pass brian2.collect()."
        )
    if isinstance(given, Network):
        schedule, objects = given.schedule, set(given.objects)
    else:
        schedule, objects = prefs.core.network.default_schedule, set(_flat(given))
    if list(schedule) != _SCHEDULE:
        raise ValueError(
            f"the schedule of the Brian2 objects is {schedule}, and here each step is "
            f"{_SCHEDULE}, as Brian2's own; leave the schedule as it is."
        )
    objects = sorted(objects, key=lambda thing: thing.name)
    for thing in objects:
        _check_kind(thing, thing, _KINDS)
        for part in _parts(thing):
            _check_kind(thing, part, _KINDS + _PARTS)
        for part in (thing, *_parts(thing)):
            _check_run(thing, part)
    _check_together(objects)
    _check_time(given, objects)
    return objects


def _flat(given):
    if isinstance(given, BrianObject):
        yield given
    elif isinstance(given, Mapping):
        yield from _flat(given.values())
    elif isinstance(given, Iterable) and not isinstance(given, str | Network):
        for item in given:
            yield from _flat(item)
    else:
        raise TypeError(
            "'objects' must be a Brian2 Network, or its objects in a list, got "
            f"{given!r}."
        )


def _parts(thing):
    for part in thing.contained_objects:
        yield part
        yield from _parts(part)


def _check_kind(thing, part, known):
    if type(part) not in known:
        remedy = _REMEDIES.get(
            type(part).__name__, "there is nothing like it here; leave it out."
        )
        raise refusal(thing, remedy if part is thing else f"{part.name!r}: {remedy}")


def _check_run(thing, part):
    event = getattr(part, "event", "spike")
    if event != "spike":
        raise refusal(
            thing,
            f"{part.name!r} is of the event {event!r}; the only ones here are spikes.",
        )
    if not part.active:
        raise refusal(
            thing,
            "it is not active, because of 'active = False' or an object that it needs "
            "and that is not there; leave it out.",
        )
    slot = _SLOTS.get(type(part), part.when)
    if part.when != slot:
        raise refusal(
            thing,
            f"{part.name!r} runs at {part.when!r}; here it runs at {slot!r}, leave "
            "'when' out.",
        )
    for variable in getattr(part, "variables", {}).values():
        device = getattr(variable, "device", None)
        if device is not None and not isinstance(device, RuntimeDevice):
            raise refusal(
                thing,
                f"it was made for {type(device).__name__}, whose values are not known "
                "before the run; make it after brian2.set_device('runtime').",
            )


def _check_together(objects):
    groups = [thing for thing in objects if isinstance(thing, NeuronGroup)]
    if not groups:
        raise ValueError(
            "'objects' must hold a NeuronGroup, got "
            f"{', '.join(thing.name for thing in objects) or 'nothing'}."
        )
    dt = groups[0].clock.dt_
    known = {thing.id for thing in objects}
    for thing in objects:
        for part in (thing, *_parts(thing)):
            if part.clock.dt_ != dt:
                raise refusal(
                    thing,
                    f"its dt is {part.clock.dt!s}, and that of {groups[0].name!r} is "
                    f"{dt * second!s}; give all the same.",
                )
        if not thing._dependencies <= known:
            raise refusal(
                thing,
                "a group that it joins or records is not among the objects; pass it, "
                "too.",
            )


def _check_time(given, objects):
    """Raise ValueError if a network has begun to run."""
    if isinstance(given, Network):
        begun = given.t_
    else:
        begun = max(
            (o.clock.t_ for o in objects if o._network is not None), default=0.0
        )
    if begun > 0:
        raise ValueError(
            f"the Brian2 objects have been run for {begun * second!s}, and each sample "
            "begins at time 0; take them over before the run, or store() them before "
            "and restore() them."
        )
