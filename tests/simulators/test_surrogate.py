"""Surrogate gradients: equal to those of a network of smooth spikes in torch."""

import numpy as np
import pytest
import sympy as sp
import torch
from brian2.units import ms, mV

from bsnn import Connection, Inputs, Network, Neuron, Population, Spikes, patterns
from bsnn.equations.dynamics import Dynamics
from bsnn.equations.estimators.surrogate import HEIGHT, MARGIN, SHAPES, WIDTH, Surrogate
from bsnn.equations.statements import symbol
from bsnn.program.graph_form import Losses
from bsnn.simulators.network import NetworkSimulator
from tests.neurons import CASES, SIZE, all_neurons, draw
from tests.oracles.noise import normal
from tests.oracles.surrogate import simulate

pytestmark = pytest.mark.cpp

SEED = 5
# One of each kind: upstrokes, conductances, own values, currents, noise, refractory.
NAMES = ["lif", "adex", "coba_lif", "each", "current", "noisy", "learned_period"]
BRIEF = all_neurons(12 * ms, NAMES)
LEARN = {n: [*CASES[n].neuron.values, *CASES[n].neuron.currents] for n in NAMES}
TORCH = {
    "fast-sigmoid": lambda x: 1 / (1 + x.abs()) ** 2,
    "arctan": lambda x: 1 / (1 + x**2),
    "triangle": lambda x: (1 - x.abs()).clamp(0, 1),
    "gaussian": lambda x: torch.exp(-(x**2) / 2),
    "1/cosh(x)**2": lambda x: 1 / torch.cosh(x) ** 2,
}


def slopes(network, surrogate):
    """Return sigma' of each population, as a function of the margin."""
    found = {}
    for part in network.groups:
        if part.neuron.threshold is not None:
            width, height = surrogate.numbers(Dynamics(part.neuron))
            found[part.name] = lambda g, w=width, h=height: (
                h * TORCH[surrogate.shape](g / w)
            )
    return found


def losses(records, network, rng, existing):
    shape = (1, network.n_steps)
    return Losses(
        spikes={n: (s.offset, np.zeros(s.n_spikes)) for n, s in records.spikes.items()},
        traces={k: rng.normal(size=t.shape) for k, t in records.traces.items()},
        existing={
            n: rng.normal(size=(*shape, network.named[n].size)) for n in existing
        },
    )


def compared(network, weights, inputs, surrogate, learn, existing, drawn=None):
    """Return derivatives of the program, and leaves of the simulation in torch."""
    options = {"learn": learn, "estimator": surrogate, "workers": 1}
    with NetworkSimulator(network, **options) as simulator:
        records = simulator.run(weights, inputs, seed=SEED)
        given = losses(records, network, np.random.default_rng(3), existing)
        found = simulator.pull_back(weights, inputs, given, seed=SEED)
    leaves, raster, traces = simulate(
        network,
        weights,
        inputs,
        0,
        slopes=slopes(network, surrogate),
        learn=learn,
        normal=drawn,
    )
    for name, spikes in records.spikes.items():
        steps, neurons = raster[name].detach().nonzero().numpy().T
        np.testing.assert_array_equal(spikes.step, steps)
        np.testing.assert_array_equal(spikes.neuron, neurons)
    loss = sum((traces[k] * torch.tensor(v[0])).sum() for k, v in given.traces.items())
    for name, values in given.existing.items():
        loss = loss + (raster[name] * torch.tensor(values[0])).sum()
    loss.backward()
    return records, found, leaves


@pytest.fixture(scope="module")
def derivatives():
    weights, inputs = draw(BRIEF, np.random.default_rng(2), n_samples=1, n_spikes=4)

    def numbers(name, noise, step, sample):
        streams = sorted(CASES[name].neuron.parsed.stochastic_variables)
        part = [p.name for p in BRIEF.populations].index(name)
        stream = (part << 8) + streams.index(noise)
        drawn = normal(SIZE, seed=SEED, sample=sample, step=step, stream=stream)
        return torch.from_numpy(drawn)

    surrogate = Surrogate("fast-sigmoid", width=0.5)
    # What no loss depends on directly learns all the same.
    existing = [name for name in NAMES if name != "lif"]
    return compared(BRIEF, weights, inputs, surrogate, LEARN, existing, numbers)


def assert_close(found, leaf):
    expected = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    expected = expected.numpy().reshape(found.shape)
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=1e-9 * np.abs(expected).max()
    )


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_those_of_smooth_spikes(name, derivatives):
    records, found, leaves = derivatives
    assert records.spikes[name].n_spikes >= 2
    for k, connection in enumerate(BRIEF.connections):
        if connection.target == name:
            assert np.abs(found.weights[k]).max() > 0
            assert_close(found.weights[k], leaves["weights"][k])
    # A refractory period is data of the steps, which no spike moves.
    for key, leaf in leaves["parameters"].items():
        if key[0] == name:
            assert_close(found.parameters[key], leaf)
    for key, leaf in leaves["currents"].items():
        if key[0] == name:
            assert_close(found.currents[key], leaf)


CELL = Neuron(
    "dU/dt = (drive - U)/tau : volt\nddrive/dt = -drive/(5*ms) : volt",
    threshold="U > theta",
    reset="U -= theta",
    parameters={"tau": 10 * ms, "theta": 15 * mV},
    method="euler",
)
SUM = Neuron("ds/dt = -s/(20*ms) : 1", method="euler")


def graph(seed=0):
    """Return a graph of patterns, delays of each kind, and an integrator."""
    rng = np.random.default_rng(seed)
    sparse = patterns.random_pairs(6, 5, probability=0.5, seed=1)
    return Network(
        [
            Inputs("in", 4),
            Population("a", 6, CELL),
            Population("b", 5, CELL),
            Population("out", 3, SUM, record=["s"]),
        ],
        [
            Connection("in", "a", on_pre="drive += w*mV"),
            Connection(
                "a",
                "b",
                on_pre="drive += w*mV",
                pattern=sparse,
                delay=rng.integers(0, 4, len(sparse.i)) * ms,
            ),
            Connection(
                "b", "a", on_pre="U += w*mV", delay=rng.integers(0, 4, (5, 1)) * ms
            ),
            Connection("a", "a", on_pre="drive += w*mV", delay=2 * ms),
            Connection("b", "out", on_pre="s += w"),
        ],
        dt=1 * ms,
        duration=40 * ms,
    )


def driven(network, rng):
    weights = [
        scale * rng.normal(0.4, 1, shape)
        for scale, shape in zip((30, 20, 8, 5, 1), network.weight_shapes, strict=True)
    ]
    spikes = Spikes.from_dense(rng.random((1, network.n_steps, 4)) < 0.3, dt=1 * ms)
    return weights, {"in": spikes}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_those_of_their_papers(shape):
    surrogate = Surrogate(shape)
    names = [symbol(name) for name in (MARGIN, WIDTH, HEIGHT)]
    derivative = sp.lambdify(names, surrogate.expression, [{"clip": np.clip}, "numpy"])
    margin = np.linspace(-2, 2, 41)
    expected = 3 * TORCH[shape](torch.from_numpy(margin / 0.5)).numpy()
    np.testing.assert_allclose(derivative(margin, 0.5, 3), expected, atol=1e-15)


@pytest.mark.parametrize("shape", ["triangle", "1/cosh(x)**2"])
def test_derivatives_on_a_graph_of_patterns_and_delays(shape, rng):
    network = graph()
    weights, inputs = driven(network, rng)
    # The threshold of "b" says what spikes of its first steps would have given.
    learn = {"a": ["tau", "theta"], "b": ["theta"]}
    delayed = [c.name for c in network.connections if np.any(np.asarray(c.delay))]
    assert len(delayed) == 3  # of a connection, of its sources, of its synapses
    learn |= dict.fromkeys(delayed, ["delay"])
    records, found, leaves = compared(
        network, weights, inputs, Surrogate(shape, width=0.7, height=0.4), learn, ["b"]
    )
    assert min(s.n_spikes for s in records.spikes.values()) > 5
    for by_weight, leaf in zip(found.weights, leaves["weights"], strict=True):
        assert_close(by_weight, leaf)
    for key, leaf in leaves["parameters"].items():
        assert_close(found.parameters[key], leaf)
    for name in delayed:
        assert np.abs(found.delays[name]).max() > 0
        assert_close(found.delays[name], leaves["delays"][name])


def test_silent_neurons_learn(rng):
    network = graph()
    weights, inputs = driven(network, rng)
    weights[0] *= 0.01
    with NetworkSimulator(network, learn={}, estimator=Surrogate()) as simulator:
        records = simulator.run(weights, inputs)
        assert records.spikes["a"].n_spikes == 0
        existing = {"a": -np.ones((1, network.n_steps, 6))}  # more spikes, less loss
        given = Losses(
            spikes={n: (s.offset, np.zeros(0)) for n, s in records.spikes.items()},
            traces={k: np.zeros_like(t) for k, t in records.traces.items()},
            existing=existing,
        )
        found = simulator.pull_back(weights, inputs, given)
    assert (found.weights[0] <= 0).all() and (found.weights[0] < 0).any()


def test_numbers_of_workers_and_precision_change_little(rng):
    network = graph()
    weights, _ = driven(network, rng)
    spikes = Spikes.from_dense(rng.random((9, network.n_steps, 4)) < 0.3, dt=1 * ms)
    found = []
    for workers, precision in ((1, "double"), (2, "double"), (2, "single")):
        options = {"learn": {}, "estimator": Surrogate("triangle", width=1.0)}
        options |= {"workers": workers, "precision": precision}
        with NetworkSimulator(network, **options) as simulator:
            records = simulator.run(weights, spikes)
            given = Losses(
                spikes={
                    n: (s.offset, np.zeros(s.n_spikes))
                    for n, s in records.spikes.items()
                },
                traces={k: np.ones_like(t) for k, t in records.traces.items()},
                existing={"b": np.ones((9, network.n_steps, 5))},
            )
            found.append(simulator.pull_back(weights, spikes, given).weights)
    for one, two, single in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_allclose(single, one, rtol=0, atol=1e-4 * np.abs(one).max())


def test_a_width_is_data_of_the_program(rng):
    folders = set()
    for width in (0.1, 0.3):
        surrogate = Surrogate("triangle", width=width)
        with NetworkSimulator(graph(), learn={}, estimator=surrogate) as simulator:
            folders.add(simulator.folder)
    assert len(folders) == 1


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"width": 0}, ValueError, "'width' must be positive"),
        ({"height": "1"}, TypeError, "'height' must be"),
        ({"shape": 3}, TypeError, "'shape' must be text"),
        ({"shape": "sigmoid"}, ValueError, "'shape' uses the name 'sigmoid'"),
        ({"shape": "1 + v"}, ValueError, "'shape' uses the name 'v'"),
        ({"shape": "2"}, ValueError, "'shape' must be an expression of x, got '2'"),
    ],
)
def test_what_is_no_surrogate_is_named(options, error, what):
    with pytest.raises(error, match=what):
        Surrogate(**options)


def test_widths_are_those_of_any_units():
    for cell in (CELL, CASES["lif"].neuron):
        width, height = Surrogate(width=0.2, height=3).numbers(Dynamics(cell))
        assert width * height == pytest.approx(0.6)
    assert Surrogate(width=0.2).numbers(Dynamics(CELL))[0] == pytest.approx(3e-3)
    high = Neuron(
        "dv/dt = -v/(5*ms) : 1", threshold="v > 1", reset="v = 0", initial={"v": 2}
    )
    with pytest.raises(ValueError, match="it is not below; give 'initial' values at"):
        Surrogate().numbers(Dynamics(high))
