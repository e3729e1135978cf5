"""Spikes from outside: every way in, and damage done to what goes in."""

import dataclasses
import json
import re

import numpy as np
from brian2 import ms

from bsnn import Spikes
from bsnn.gate import spikes_for
from bsnn.simulators.choose import make_simulator
from tests.models import grid_model
from tests.reliability.untrusted import Reader, damage_json
from tests.simulators.test_grid import by_numpy_model

NAME = "spikes from outside"
RULES = {"grid": 7, "quantised-event": 7, "continuous": 0}  # time step in ms
N_SAMPLES, MOST_SAMPLES = 3, 50  # more are not simulated: that takes its time
KINDS = (*("i1", "u1", "i4", "u8", "f4", "f8", "?", "U", "O", "c16", "M8[s]"), "ms")
SEVERAL = ("sample", "neuron", "step", "time", "offset", "dense")
# The arguments of each door; the array goes to the model as it is.
DOORS = {
    "events": (
        Spikes.from_events,
        ("sample", "neuron", "step", "time", "n_samples", "n_neurons", "dt"),
    ),
    "constructor": (Spikes, ("neuron", "offset", "step", "time", "n_neurons", "dt")),
    "padded": (Spikes.from_padded, ("time", "neuron", "n_neurons", "dt")),
    "dense": (lambda dense, dt: Spikes.from_dense(dense, dt=dt), ("dense", "dt")),
    "array": (lambda dense: dense, ("dense",)),
}


class RefusedError(Exception):
    """A door named the argument and said why."""


def make_model(rule, dt_ms=None):
    """Return the three layers of test_grid.py, whose program serves every time step."""
    dt_ms = RULES[rule] if dt_ms is None else dt_ms
    model = grid_model("three layers")
    return dataclasses.replace(model, dt=dt_ms * ms, rule=rule)


def make_simulators():
    """Return a simulator for each time rule."""
    return {rule: make_simulator(make_model(rule), workers=1) for rule in RULES}


def make_reader(folder, simulators):
    """Return the `Reader` of spikes that are given as JSON."""
    path = folder / "outside.json"

    def read():
        try:
            given = json.loads(path.read_bytes())
            door, names = DOORS[given["door"]]
            rule = given["rule"]
            arguments = {name: _as_kind(given, name) for name in names}
            simulator = simulators[rule]
        except Exception as error:  # the JSON describes no call
            raise RefusedError from error
        try:
            spikes = spikes_for(simulator.model, door(**arguments))
        except (TypeError, ValueError) as error:
            assert re.match(r"'\w+' ", str(error)), error
            raise RefusedError from error
        if spikes.n_samples <= MOST_SAMPLES:
            check_simulation(simulator, spikes)

    return Reader(
        path=path,
        read=read,
        refuses=(RefusedError, MemoryError),
        damages=(damage_json, damage_call, damage_call, damage_events, damage_events),
        valid=json.dumps(valid_call("events", "grid")).encode(),
    )


def _as_kind(given, name):
    value, kind = given[name], given["kinds"].get(name)
    if kind is None:
        return value
    return np.asarray(value, float) * ms if kind == "ms" else np.array(value, kind)


def valid_call(door, rule, seed=0):
    """Return spikes that fit the model of a rule, as they would go through a door."""
    model, rng = make_model(rule), np.random.default_rng(seed)
    shape = N_SAMPLES, model.n_steps or 29, model.n_inputs
    dense = rng.random(shape) < 0.05
    sample, step, neuron = np.nonzero(dense)
    time = (step + 0.5) * 6.5e-3
    values = {"sample": sample, "neuron": neuron, "step": step, "time": time}
    values["offset"] = np.searchsorted(sample, np.arange(N_SAMPLES + 1))
    values["dense"] = dense.astype(int)
    values = {name: array.tolist() for name, array in values.items()}
    values |= {"n_samples": N_SAMPLES, "n_neurons": shape[2], "dt": model.dt_seconds}
    values["time" if model.dt_seconds else "step"] = None
    if door == "padded":
        values["neuron"] = list(range(shape[2]))
        times = rng.choice([0.05, 0.1, 0.199, np.inf], (N_SAMPLES, shape[2]))
        values["time"] = times.tolist()
    return {"door": door, "rule": rule, "kinds": {}, **values}


def damage_call(data, rng):
    """Take another door, rule or kind of array, and the arguments of that."""
    values = valid_call(
        rng.choice(list(DOORS)), rng.choice(list(RULES)), rng.randrange(99)
    )
    if rng.random() < 0.5:
        values["kinds"][rng.choice(SEVERAL)] = rng.choice(KINDS)
    return damage_events(json.dumps(values).encode(), rng)


def damage_events(data, rng):
    """Move, repeat, drop and exchange spikes; say when in two ways, or in none."""
    values = json.loads(data)
    for _ in range(rng.choice((0, 1, 1, 2))):
        column = values[rng.choice(SEVERAL)]
        if not column:
            values["time"] = [0.1] * len(values["neuron"])
            continue
        at, other = rng.randrange(len(column)), rng.randrange(len(column))
        kind = rng.randrange(7)
        if kind == 0:
            column[at], column[other] = column[other], column[at]
        elif kind == 1:
            for name in SEVERAL[:4]:
                if values[name]:
                    values[name].append(values[name][at % len(values[name])])
        elif kind == 2:
            del column[at]
        elif kind == 3:
            column[at] = rng.choice((-1, 0, 1, 28, 29, 58, 2**31, 2**32, 2**63))
        elif kind == 4:
            column[at] = rng.choice((-1e-9, 0.0, 0.2, 0.203, 1e300, np.nan, np.inf))
        elif kind == 5:
            rng.shuffle(column)
        else:
            column.insert(at, column[other])
    return json.dumps(values).encode()


def check_simulation(simulator, spikes):
    """Assert that the records of a batch are sound, and those of its samples alone."""
    model = simulator.model
    rng = np.random.default_rng(spikes.n_spikes)
    weights = [
        rng.uniform(-1, 1.6, shape) * 8 / np.sqrt(shape[0])
        for shape in model.weight_shapes
    ]
    together = simulator.run(weights, spikes)
    for record in together:
        fields = ("neuron", "offset", "n_neurons", "dt", "step", "time")
        Spikes(**{name: getattr(record, name) for name in fields})
    for m in range(spikes.n_samples):
        one = spikes.select(m, m + 1)
        alone = simulator.run(weights, one)
        for whole, single in zip(together, alone, strict=True):
            part = whole.select(m, m + 1)
            np.testing.assert_array_equal(part.neuron, single.neuron)
            np.testing.assert_array_equal(part.arrival, single.arrival)
        if model.rule == "grid" and m == 0:
            compare_with_the_oracle(model, weights, one, alone)


def compare_with_the_oracle(model, weights, inputs, records):
    """Assert that one sample's clock-driven records are those of the slow model."""
    expected, nearest = by_numpy_model(model, weights, inputs)
    if nearest < 1e-9:  # rounding may decide
        return
    for record, spikes in zip(records, expected, strict=True):
        found = zip(record.step, record.neuron, strict=True)
        assert list(found) == [(step, neuron) for step, neuron, _, _ in spikes]
