"""Delays of each neuron and each synapse: stock Brian2's spikes, exact derivatives."""

import json

import numpy as np
import pytest
from brian2.units import ms, mV, second

from bsnn import Connection, Inputs, Network, Neuron, Population
from bsnn.patterns import random_pairs
from bsnn.simulators.network import NetworkSimulator
from tests.neurons import CASES, N_INPUTS, SIZE, draw
from tests.oracles.stock import run_stock
from tests.simulators.test_network import FLOORS, _assert_close, _losses, _replayed

pytestmark = [
    pytest.mark.cpp,
    # Of torch itself, where it first differentiates forwards.
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),
]

# Refractory periods, rates that bend in what is added to, values one for each neuron,
# several variables at once.
NAMES = ["coba_lif", "learned_period", "qif_heun", "each", "volt"]
PAIRS = random_pairs(SIZE, SIZE, 0.6, seed=3)
LEARN = {
    **{name: list(CASES[name].neuron.values) for name in NAMES},
    **{f"in {name}": ["delay"] for name in NAMES},
    **{f"own {name}": ["delay"] for name in NAMES},
    "pairs coba_lif": ["delay"],
    "pairs qif_heun": ["delay"],
}


def make_network(*, longest=3.0, duration=12 * ms, seed=4):
    rng = np.random.default_rng(seed)

    def delays(*shape):
        return rng.uniform(0, longest, shape) * ms

    parts, connections = [Inputs("inputs", N_INPUTS)], []
    for name in NAMES:
        case = CASES[name]
        parts.append(Population(name, SIZE, case.neuron, record=case.neuron.states[:1]))
        joined = {
            f"in {name}": ("inputs", delays(N_INPUTS, SIZE), None),
            f"own {name}": (name, delays(SIZE, 1), None),
        }
        if name == "coba_lif":
            joined[f"pairs {name}"] = (name, delays(len(PAIRS.i)), PAIRS)
        if name == "qif_heun":
            joined[f"pairs {name}"] = (name, delays(), PAIRS)
        connections += [
            Connection(
                source, name, on_pre=case.on_pre, delay=delay, pattern=pattern, name=key
            )
            for key, (source, delay, pattern) in joined.items()
        ]
    return Network(parts, connections, dt=0.1 * ms, duration=duration)


NETWORK, BRIEF = make_network(duration=40 * ms), make_network(duration=12 * ms)


@pytest.fixture(scope="module")
def drawn():
    return draw(NETWORK, np.random.default_rng(7))


@pytest.fixture(scope="module")
def simulators():
    with (
        NetworkSimulator(NETWORK, learn=LEARN) as long,
        NetworkSimulator(BRIEF, learn=LEARN, workers=1) as brief,
    ):
        yield long, brief


@pytest.mark.parametrize("sample", range(2))
def test_spikes_are_those_of_stock_brian2(sample, simulators, drawn):
    records = simulators[0].run(*drawn)
    stock = run_stock(NETWORK, *drawn, sample)
    for name in NAMES:
        spikes = records.spikes[name].select(sample, sample + 1)
        found = set(zip(spikes.step.tolist(), spikes.neuron.tolist(), strict=True))
        assert found == stock.spikes[name]
        assert len(found) > SIZE


def test_other_delays_need_no_other_program(simulators, drawn):
    other = make_network(duration=40 * ms, longest=9.0, seed=5)
    delays = {c.name: c.delay / second for c in other.connections}
    weights, inputs = drawn
    one = simulators[0].run(weights, inputs, delays=delays)
    with NetworkSimulator(other, learn=LEARN) as simulator:
        assert simulator.folder == simulators[0].folder == simulators[1].folder
        two = simulator.run(weights, inputs)
    own = simulators[0].run(weights, inputs)
    for name in NAMES:
        np.testing.assert_array_equal(one.spikes[name].step, two.spikes[name].step)
        assert one.spikes[name].step.tolist() != own.spikes[name].step.tolist()


@pytest.fixture(scope="module")
def derivatives(simulators):
    """Of one brief sample: those of the program, and those of the replay."""
    weights, inputs = draw(BRIEF, np.random.default_rng(3), n_samples=1, n_spikes=4)
    for w, connection in zip(weights, BRIEF.connections, strict=True):
        # Weaker, where tanh would hide when spikes arrive.
        w *= 0.1 if connection.target == "learned_period" else 1
    records = simulators[1].run(weights, inputs)
    losses = _losses(records, np.random.default_rng(3))
    found = simulators[1].pull_back(weights, inputs, losses, slope_min=FLOORS)
    leaves = _replayed(BRIEF, weights, inputs, records, losses, LEARN)
    return records, found, leaves


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_those_of_a_replay(name, derivatives):
    records, found, leaves = derivatives
    assert records.spikes[name].n_spikes >= 2
    for k, connection in enumerate(BRIEF.connections):
        if connection.target == name:
            _assert_close(found.weights[k], leaves["weights"][k])
            leaf = leaves["delays"][connection.name]
            assert leaf.grad.abs().max() > 0
            _assert_close(found.delays[connection.name], leaf)
    for key, leaf in leaves["parameters"].items():
        if key[0] == name:
            _assert_close(found.parameters[key], leaf)


def test_derivatives_by_input_times_are_those_of_a_replay(derivatives):
    _, found, leaves = derivatives
    _assert_close(found.inputs["inputs"], leaves["inputs"]["inputs"])


def test_what_arrives_as_the_sample_ends_gives_nothing(simulators):
    """Neither here nor in the next sample, and whatever was there in the one before."""
    weights, inputs = draw(BRIEF, np.random.default_rng(3), n_samples=1)
    apart = {c.name: c.source == c.target for c in BRIEF.connections}
    each = {c.name: np.shape(c.delay) for c in BRIEF.connections}
    delays = {c.name: c.delay / second for c in BRIEF.connections}
    last = float((BRIEF.n_steps - 1) * BRIEF.dt / second)
    for name in (name for name in apart if apart[name]):
        delays[name] = np.full(each[name], last)
    silent = simulators[1].run(weights, inputs, delays=delays)
    for connection in BRIEF.connections:
        if apart[connection.name] and each[connection.name]:
            spikes = silent.spikes[connection.source]
            first = np.ones(SIZE, int)
            np.put(first, spikes.neuron[::-1], spikes.step[::-1])
            sent = first[PAIRS.i] if connection.pattern else first[:, None]
            # Its first spike arrives exactly at the end, the others later still.
            delay = (BRIEF.n_steps - sent) * float(BRIEF.dt / second)
            delays[connection.name] = np.minimum(delay, last)
    records = simulators[1].run(weights, inputs, delays=delays)
    losses = _losses(records, np.random.default_rng(3))
    for _ in range(2):  # the second finds what the first has left
        found = simulators[1].pull_back(
            weights, inputs, losses, delays=delays, slope_min=FLOORS
        )
    for name in NAMES:
        one, two = silent.spikes[name], records.spikes[name]
        assert two.n_spikes >= 2
        np.testing.assert_array_equal(one.step, two.step)
        np.testing.assert_array_equal(one.neuron, two.neuron)
    for k, connection in enumerate(BRIEF.connections):
        assert np.any(found.weights[k]) != apart[connection.name], connection.name
        assert np.any(found.delays[connection.name]) != apart[connection.name]


def test_rates_that_bend_with_a_current_shared_by_all_are_refused():
    neuron = Neuron(
        "dv/dt = (-v + s**2*I(t))/tau : 1\nds/dt = -s/tau : 1",
        "v > 1",
        "v = 0",
        method="euler",
        parameters={"tau": 10 * ms},
        currents={"I": 1},
    )
    network = Network(
        [Inputs("in", 2), Population("a", 3, neuron)],
        [Connection("in", "a", on_pre="s += w", delay=np.ones((2, 3)) * ms)],
        dt=0.1 * ms,
        duration=20 * ms,
    )
    with pytest.raises(ValueError, match="together with 'I', which all neurons share"):
        NetworkSimulator(network, learn={})


BARE = Population("cells", 3, CASES["alif"].neuron)


@pytest.mark.parametrize(
    ("delay", "error", "match"),
    [
        (np.ones((2, 3)), TypeError, "'delay' must be a time"),
        (np.ones((2, 3)) * mV, TypeError, "'delay' must be a time"),
        (-1 * ms, ValueError, "must not be negative"),
        ([[0, 1, 2], [0, -1, 2]] * ms, ValueError, "must not be negative"),
        ([[0, 1, 2], [0, np.nan, 2]] * ms, ValueError, "'delay' must be finite"),
        (np.inf * ms, ValueError, "'delay' must be finite"),
        (np.ones((3, 2)) * ms, ValueError, "one of each synapse, got"),
        (np.ones(2) * ms, ValueError, r"shape \(2, 1\) for one of each presynaptic"),
        (20 * ms, ValueError, "no spike would arrive"),
        ([[0, 1, 2], [0, 1, 30]] * ms, ValueError, "no spike would arrive"),
    ],
)
def test_delays_that_no_connection_can_have_are_refused(delay, error, match):
    with pytest.raises(error, match=match):
        Network(
            [Inputs("in", 2), BARE],
            [Connection("in", "cells", on_pre="i_syn += w", delay=delay)],
            dt=0.1 * ms,
            duration=20 * ms,
        )


@pytest.mark.parametrize("shape", [(), (2, 1), (2, 3)])
def test_a_network_of_delays_survives_writing_and_reading(shape):
    delay = np.random.default_rng(0).uniform(0, 9, shape) * ms
    network = Network(
        [Inputs("in", 2), BARE],
        [Connection("in", "cells", on_pre="i_syn += w", delay=delay)],
        dt=0.1 * ms,
        duration=20 * ms,
    )
    read = Network.from_dict(json.loads(json.dumps(network.to_dict())))
    np.testing.assert_array_equal(read.delays[0], network.delays[0])
    np.testing.assert_array_equal(
        read.connections[0].delay, network.connections[0].delay
    )
