"""Derivatives against differences of what they are derivatives of, at fixed spikes."""

import functools

import numpy as np
import pytest
from brian2.units import ms
from scipy.optimize import brentq

from bsnn import Network, Spikes
from bsnn.equations.dynamics import Dynamics
from bsnn.program.graph_form import Losses
from bsnn.simulators.network import NetworkSimulator
from tests.neurons import CASES, N_INPUTS, NOISY, SIZE, all_neurons, draw, learned
from tests.oracles.relaxation import (
    TINY,
    Relaxation,
    StepMap,
    additions,
    columns,
    evaluate,
)

pytestmark = pytest.mark.cpp

COARSE = 0.1  # ms: inputs lie on this grid at every dt
SEED = 24
FLOORS = {
    name: max(0.1 * Dynamics(case.neuron).slope_scale(), 1e-3)
    for name, case in CASES.items()
}
QUIET = sorted(CASES.keys() - NOISY)
EXACT = [name for name in QUIET if CASES[name].neuron.method == "exact"]
# The longest step in ms from which each neuron's error falls in order.
OTHERS = {
    "adex": 0.05,
    "adex_euler": 0.0125,
    "adex_rk4": 0.05,
    "coba_lif": 0.1,
    "coba_lif_rk2": 0.1,
    "current": 0.025,
    "hodgkin_huxley": 0.0125,
    "izhikevich": 0.05,
    "learned_period": 0.1,
    "qif": 0.1,
    "qif_heun": 0.025,
    "volt": 0.1,
}
REFRACTORY = ["coba_lif", "coba_lif_rk2", "learned_period", "lif", "volt"]


class Sample:
    """One sample of all neurons, as the program simulates it.

    No two inputs fire at once, and currents are smooth: what lies on both sides of an
    event that moves is then alike.
    """

    def __init__(self, dt=COARSE, *, duration=8, recurrent=1.0):
        rng, finer = np.random.default_rng(SEED), round(COARSE / dt)
        parts = all_neurons(duration * ms)
        self.network = Network(
            parts.populations, parts.connections, dt=dt * ms, duration=duration * ms
        )
        self.weights, _ = draw(parts, rng, n_samples=1)
        for w, connection in zip(self.weights, parts.connections, strict=True):
            w *= 1 if connection.source == "inputs" else recurrent
            w *= 2 if connection.target == "learned_period" else 1
        neuron = rng.permutation(np.repeat(np.arange(N_INPUTS), 4))
        step = np.sort(rng.choice(parts.n_steps, neuron.size, replace=False))
        self.spikes = Spikes.from_events(
            sample=np.zeros_like(step),
            neuron=neuron,
            step=(step + 1) * finer - 1,
            n_samples=1,
            n_neurons=N_INPUTS,
            dt=dt * ms,
        )
        self.time = np.arange(self.network.n_steps)[:, None] * dt  # in ms
        self.currents = {
            "I_stim": 1e-10 * (1 + np.sin(self.time + np.arange(SIZE))),
            "I_all": 3e-11 * (1 + np.cos(self.time)),
        }
        self.simulate()

    def simulate(self):
        with self._simulator() as simulator:
            self.records = simulator.run(self.weights, self._inputs())

    def _simulator(self):
        return NetworkSimulator(self.network, learn=learned(), workers=1)

    def _inputs(self):
        currents = {name: values[None] for name, values in self.currents.items()}
        return {"inputs": self.spikes, "current": currents}

    def first_steps(self, name):
        """Return the step of each neuron's first spike, or that of the end."""
        spikes = self.records.spikes[name]
        fired = [spikes.step[spikes.neuron == j] for j in range(SIZE)]
        end = self.network.n_steps
        return np.array([steps[0] if steps.size else end for steps in fired])

    def prices(self, name):
        """Return random derivatives of a loss by a population's times and traces."""
        rng, neuron = np.random.default_rng(1), self.records.spikes[name].neuron
        of_spike = rng.normal(size=(SIZE, neuron.size))
        which = [(neuron[:z] == j).sum() for z, j in enumerate(neuron)]
        (variable,) = self.network.named[name].record
        trace = self.records.traces[name, variable][0]
        by_trace = np.sin(self.time + np.arange(SIZE)) / (len(trace) * trace.std())
        return of_spike[neuron, which], 1e-2 * by_trace

    def pull_back(self, name, by_time, by_trace):
        """Return the derivatives, by the keys of `directions`."""
        losses = Losses(
            spikes={
                key: (s.offset, by_time if key == name else np.zeros(s.n_spikes))
                for key, s in self.records.spikes.items()
            },
            traces={
                key: by_trace + np.zeros(trace.shape)
                if key[0] == name
                else np.zeros(trace.shape)
                for key, trace in self.records.traces.items()
            },
        )
        with self._simulator() as simulator:
            found = simulator.pull_back(
                self.weights, self._inputs(), losses, slope_min=FLOORS
            )
        return {
            **{
                ("parameters", p): found.parameters[name, p] for p in self._values(name)
            },
            **{("weights", k): found.weights[k] for k in self.connections(name)},
            **{("delays", k): found.delays[n] for k, n in self._delays(name).items()},
            **{("currents", c): found.currents[name, c][0] for c in self._given(name)},
            ("inputs", None): found.inputs["inputs"],
        }

    def directions(self, name):
        """Return a random change of each parameter, of weights, currents and times."""
        rng = np.random.default_rng(2)
        changes = {
            ("parameters", p): (np.abs(value).max() or 1.0)
            * rng.normal(size=len(value))
            for p, value in self._values(name).items()
        }
        for k in self.connections(name):
            drawn = rng.normal(size=self.weights[k].shape)
            changes["weights", k] = CASES[name].strength * drawn
        for k in self._delays(name):
            changes["delays", k] = 1e-3 * rng.normal(size=(SIZE, SIZE))
        for c, values in self._given(name).items():
            phase = rng.uniform(0, 6, values.shape[1])
            changes["currents", c] = values.max() * np.sin(0.7 * self.time + phase)
        changes["inputs", None] = 1e-3 * rng.normal(size=self.spikes.n_spikes)
        return changes

    def point(self, name, changes):
        """Return what a population is made of: as it is, and with each change."""

        def rows(kind, key, value):
            changed = [value + c.get((kind, key), 0) for c in changes]
            return np.stack([value, *changed])

        return {
            "parameters": {
                p: rows("parameters", p, v) for p, v in self._values(name).items()
            },
            "weights": [
                rows("weights", k, self.weights[k]) for k in self.connections(name)
            ],
            "delays": {
                q: rows("delays", k, np.zeros((SIZE, SIZE)))
                for q, k in enumerate(self.connections(name))
                if k in self._delays(name)
            },
            "currents": {
                c: rows("currents", c, v) for c, v in self._given(name).items()
            },
            "inputs": rows("inputs", None, np.zeros(self.spikes.n_spikes)),
        }

    def _values(self, name):
        neuron = CASES[name].neuron
        return {
            p: np.broadcast_to(value, 1 if neuron.is_shared(p) else SIZE)
            for p, value in neuron.values.items()
        }

    def _delays(self, name):
        """Return the connections whose delays are learned, by their numbers."""
        named = {k: self.network.connections[k].name for k in self.connections(name)}
        return {k: n for k, n in named.items() if n in learned()}

    def _given(self, name):
        return {c: self.currents[c] for c in CASES[name].neuron.currents}

    def connections(self, name):
        targets = [c.target for c in self.network.connections]
        return [k for k, target in enumerate(targets) if target == name]

    def relaxed(self, name, by_time, by_trace, changes, **options):
        """Return the loss of each change, at the spikes of this sample."""
        spikes = self.records.spikes[name]
        relaxation = Relaxation(self.network, name, self.spikes, spikes, FLOORS[name])
        shift, traces = relaxation.run(self.point(name, changes), **options)
        (variable,) = self.network.named[name].record
        trace = self.records.traces[name, variable][0]
        np.testing.assert_allclose(  # the oracle replays what the program did
            traces[variable][0].real, trace, rtol=0, atol=1e-10 * np.abs(trace).max()
        )
        loss = shift @ by_time + (traces[variable] * by_trace).sum((1, 2))
        return loss[1:]


@functools.cache
def sample(dt=COARSE, recurrent=1.0):
    return Sample(dt, recurrent=recurrent)


def _along(found, directions):
    return np.array([(found[key] * change).sum() for key, change in directions.items()])


def _central(loss, directions, e):
    """Differentiate along each direction, the error of order e^2 removed."""
    steps = [s * k * e for k in (1, 2) for s in (1, -1)]
    changes = [{key: s * x} for key, x in directions.items() for s in steps]
    values = loss(changes).reshape(len(directions), 4)
    near, far = (values[:, k] - values[:, k + 1] for k in (0, 2))
    return (8 * near - far) / (12 * e)


def _forward(loss, directions):
    changes = [{key: 1j * TINY * x} for key, x in directions.items()]
    return loss(changes).imag / TINY


def _assert_each(found, expected, rtol, floor):
    """Compare each derivative, or to the rounding error of the largest of them."""
    atol = floor * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def _first_crossings(given, name, changes):
    """Return the time of each neuron's first crossing, at each change, by brentq.

    NaN of neurons that do not fire, or that an arrival carries over the threshold.
    """
    cell, dt = StepMap(CASES[name].neuron), given.network.dt_seconds
    point, inputs = given.point(name, changes), given.spikes
    shape, free = (1 + len(changes), SIZE), np.ones(SIZE, bool)
    k = given.connections(name)[0]  # from the inputs
    added = additions(given.network.connections[k].on_pre)
    first = given.first_steps(name)
    state = {n: np.full(shape, x) for n, x in cell.neuron.initial_values.items()}
    times = np.full(shape, np.nan)
    for step in range(given.network.n_steps):
        currents = {n: x[:, step] for n, x in point["currents"].items()}
        names = {**point["parameters"], **currents}
        for j in np.flatnonzero(first == step):
            for row in range(len(times)):
                at, own = (_one(x, row, j) for x in (state, names))
                times[row, j] = step * dt + _inside(cell, at, own, dt)
        h = np.where(step < first, dt, np.zeros(shape))  # held once they have fired
        state = cell.update(state, h, free, names)
        for i in inputs.neuron[inputs.step == step]:
            gained = {**names, "w": point["weights"][0][:, i]}
            for variable, code in added.items():
                state[variable] = state[variable] + evaluate(code, gained)
    return times


def _one(names, row, j):
    one = columns(names, [j])
    return {name: x[row : row + 1] for name, x in one.items()}


def _inside(cell, state, names, dt):
    """Return where in a step the margin is crossed; NaN if it is met at its start."""

    def margin(h):
        moved = cell.update(state, np.full((1, 1), h), np.ones(1, bool), names)
        return cell.margin(moved, names).item()

    return np.nan if margin(0.0) >= 0 else brentq(margin, 0, 1.1 * dt, xtol=1e-20)


# Only arrivals carry `volt` over its threshold, which is no crossing inside a bin.
@pytest.mark.parametrize("name", [name for name in QUIET if name != "volt"])
def test_derivatives_of_first_crossings_are_differences(name):
    given = sample(recurrent=0.0)
    directions = given.directions(name)
    del directions["inputs", None]  # move a delivered time
    own = given.connections(name)[1]
    del directions["weights", own], directions["delays", own]  # matter afterwards
    neuron = given.records.spikes[name].neuron
    crosses = np.isfinite(_first_crossings(given, name, [])[0])
    is_first = np.array([(neuron[:z] != j).all() for z, j in enumerate(neuron)])
    weigh = np.where(crosses, np.random.default_rng(3).normal(size=SIZE), 0)
    assert crosses.sum() >= 2
    found = given.pull_back(name, weigh[neuron] * is_first, np.zeros((1, SIZE)))

    def loss(changes):
        times = _first_crossings(given, name, changes)[1:]
        return times[:, crosses] @ weigh[crosses]

    expected = _central(loss, directions, 1e-5)
    found = _along(found, directions)
    _assert_each(found, expected, 1e-7, 2e-8)


@pytest.mark.parametrize("name", EXACT)
def test_derivatives_of_an_exact_neuron_are_differences(name):
    given = sample()
    assert given.records.spikes[name].n_spikes >= 2 * SIZE
    found, expected = _by_difference(name, given)
    _assert_each(found, expected, 1e-6, 2e-8)


def _by_difference(name, given):
    prices, directions = given.prices(name), given.directions(name)
    found = _along(given.pull_back(name, *prices), directions)

    def loss(changes):
        return given.relaxed(name, *prices, changes, split=True)

    return found, _central(loss, directions, 1e-5)


@pytest.mark.parametrize("name", OTHERS)
def test_derivatives_of_other_neurons_are_differences_as_dt_falls(name):
    errors = []
    for halvings in range(3):
        given = sample(OTHERS[name] / 2**halvings)
        found, expected = _by_difference(name, given)
        difference = np.linalg.norm(found - expected)
        errors.append(difference / np.linalg.norm(expected))
    order = np.log2(errors[0] / errors[-1]) / 2
    assert order > 0.8 or errors[0] < 1e-6, errors
    assert errors[-1] < 0.05, errors


@pytest.mark.parametrize("name", QUIET)
def test_derivatives_are_forward_sensitivities(name):
    """<lambda, J u> = <J^T lambda, u>, with J u by complex steps, along each u."""
    given = sample()
    prices, directions = given.prices(name), given.directions(name)
    found = _along(given.pull_back(name, *prices), directions)
    expected = _forward(
        lambda changes: given.relaxed(name, *prices, changes, split=False), directions
    )
    _assert_each(found, expected, 1e-10, 1e-13)


@pytest.mark.parametrize("name", REFRACTORY)
def test_ends_of_refractory_periods_move_with_their_spikes(name):
    """Derivatives are far from those of ends that stay where they were."""
    given = sample()
    prices, directions = given.prices(name), given.directions(name)
    found = _along(given.pull_back(name, *prices), directions)

    def loss(changes, moves):
        options = {"split": False, "releases_move": moves}
        return given.relaxed(name, *prices, changes, **options)

    moving, fixed = (
        _forward(lambda changes, m=m: loss(changes, m), directions)
        for m in (True, False)
    )
    _assert_each(found, moving, 1e-10, 1e-13)
    assert np.linalg.norm(found - fixed) > 0.05 * np.linalg.norm(found)


def _crossing_of_lif(v, i, p):
    """Return when v passes the threshold from a start with a current i."""
    tau, tau_syn = p["tau_mem"], p["tau_syn"]

    def height(t):
        fast, slow = np.exp(-t / tau_syn), np.exp(-t / tau)
        return v * slow + i * tau_syn / (tau - tau_syn) * (slow - fast)

    return brentq(lambda t: height(t) - p["v_threshold"], 0, 9e-3, xtol=1e-18)


def _second_spike(p, wait, end=None):
    """Return when a LIF neuron driven by an input w at time 0 fires again.

    A refractory period begins `wait` after the first crossing, unless it has a fixed
    `end`.
    """
    first = _crossing_of_lif(0.0, p["w"], p)
    if end is None:
        end = first + wait + p["refractory_period"]
    return end + _crossing_of_lif(p["v_reset"], p["w"] * np.exp(-end / p["tau_syn"]), p)


def _slopes(values, wait, end=None):
    """Return the central difference of a second spike's time by each value."""
    found = {}
    for name, value in values.items():
        e = 1e-5 * (abs(value) or 1.0)
        more, less = (
            _second_spike({**values, name: value + s}, wait, end) for s in (e, -e)
        )
        found[name] = (more - less) / (2 * e)
    return found


def test_a_second_spike_moves_with_the_end_of_the_period_before_it():
    given, dt = Sample(duration=16), 1e-3 * COARSE
    for w in given.weights:
        w[:] = 0
    k = given.connections("lif")[0]
    given.weights[k][0] = np.linspace(20, 24, SIZE)
    one = {"sample": [0], "neuron": [0], "step": [0], "n_samples": 1}
    given.spikes = Spikes.from_events(**one, n_neurons=N_INPUTS, dt=dt)
    given.simulate()
    spikes = given.records.spikes["lif"]
    assert spikes.counts().tolist() == [[2] * SIZE]
    is_second = np.arange(2 * SIZE) >= SIZE
    assert set(spikes.neuron[is_second]) == set(range(SIZE))
    found = given.pull_back("lif", 1.0 * is_second, np.zeros((1, SIZE)))

    moving, fixed = [], []
    for j, step in enumerate(given.first_steps("lif")):
        values = {**CASES["lif"].neuron.values, "w": given.weights[k][0, j]}
        # Brian2 counts the period from the start of the bin with the spike.
        began = dt * (step - 1)
        wait = began - _crossing_of_lif(0.0, values["w"], values)
        moving.append(_slopes(values, wait))
        fixed.append(_slopes(values, wait, began + values["refractory_period"]))
    by_weight = [slopes["w"] for slopes in moving]
    np.testing.assert_allclose(found["weights", k][0], by_weight, rtol=1e-6, atol=0)
    for name in CASES["lif"].neuron.values:
        derivative = found["parameters", name].item()
        expected = sum(slopes[name] for slopes in moving)
        assert derivative == pytest.approx(expected, rel=1e-6), name
    # Were the end of the period fixed, the derivative would be another.
    with_it, without = (
        sum(slopes["tau_mem"] for slopes in each) for each in (moving, fixed)
    )
    assert without < 0.7 * with_it
