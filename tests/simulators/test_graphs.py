"""Every ready neuron in every kind of graph: stock spikes, a replay's derivatives.

Chains, and recurrent graphs with a delay for each synapse, are those of `test_network`.
"""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Population, Spikes
from bsnn.patterns import convolution
from bsnn.simulators.network import NetworkSimulator
from tests.neurons import CASES, DT, DURATION, N_INPUTS, SIZE
from tests.oracles.stock import run_stock

from .test_network import FLOORS, _assert_close, _losses, _replayed

pytestmark = [
    pytest.mark.cpp,
    # Of torch itself, where it first differentiates forwards.
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),
]

NAMES = ["cuba", "lif", "alif", "adex", "qif", "izhikevich", "coba_lif"]
NAMES += ["hodgkin_huxley"]
BRIEF = 12 * ms  # what the replay has the time for
KERNEL = convolution((1, 3, 4), 1, 2, padding=1)  # 12 inputs onto 4 rows of 5


class Edge(NamedTuple):
    """A connection, and between what its weights are drawn, of the case's strength."""

    source: str
    target: str
    weights: tuple[float, float]
    pattern: object = None


DRIVEN = [Edge("inputs", name, (0.2, 1.0)) for name in NAMES]
SIGNS = dict(zip(NAMES, itertools.cycle([(0.0, 0.4), (-0.4, 0.0)]), strict=False))
NEXT = [*itertools.pairwise(NAMES), (NAMES[-1], NAMES[0])]
GRAPHS = {
    "recurrent, two inputs": [Edge("inputs", name, (0.2, 0.6)) for name in NAMES]
    + [Edge("others", name, (0.2, 0.6)) for name in NAMES]
    + [Edge(name, name, (-0.4, 0.4)) for name in NAMES],
    # A ring, in which every second population inhibits all that it is joined with.
    "excitation and inhibition": DRIVEN
    + [Edge(name, name, SIGNS[name]) for name in NAMES]
    + [Edge(*pair, SIGNS[pair[0]]) for pair in NEXT]
    + [Edge(*pair[::-1], SIGNS[pair[1]]) for pair in NEXT],
    "convolution": [Edge("inputs", name, (1.0, 3.0), KERNEL) for name in NAMES],
}


def make_network(edges, duration):
    entrances = sorted({edge.source for edge in edges} - set(NAMES))
    size = SIZE if edges[0].pattern is None else 20
    parts = [Inputs(name, N_INPUTS) for name in entrances]
    parts += [Population(name, size, CASES[name].neuron) for name in NAMES]
    return Network(
        parts,
        [
            Connection(
                edge.source,
                edge.target,
                on_pre=CASES[edge.target].on_pre,
                pattern=edge.pattern,
            )
            for edge in edges
        ],
        dt=DT,
        duration=duration,
    )


def draw(network, edges, seed, rate):
    """Return weights of the connections, and spikes of two samples."""
    rng = np.random.default_rng(seed)
    weights = [
        CASES[edge.target].strength * rng.uniform(*edge.weights, shape)
        for edge, shape in zip(edges, network.weight_shapes, strict=True)
    ]
    shape = 2, network.n_steps, N_INPUTS
    lit = {part.name: rng.random(shape) < rate for part in network.inputs}
    return weights, {k: Spikes.from_dense(x, dt=DT) for k, x in lit.items()}


@pytest.fixture(scope="module", params=GRAPHS)
def results(request):
    """Of two samples, records and their inputs; of a brief one, derivatives, too."""
    edges = GRAPHS[request.param]
    network, brief = (make_network(edges, time) for time in (DURATION, BRIEF))
    weights, inputs = draw(network, edges, seed=1, rate=0.02)
    with NetworkSimulator(network, learn={}) as simulator:
        records = simulator.run(weights, inputs)
    given = draw(brief, edges, seed=2, rate=0.04)
    given = given[0], {k: spikes.select(0, 1) for k, spikes in given[1].items()}
    with NetworkSimulator(brief, learn={}, workers=1) as simulator:
        found = simulator.run(*given)
        losses = _losses(found, np.random.default_rng(3))
        derivatives = simulator.pull_back(*given, losses, slope_min=FLOORS)
    leaves = _replayed(brief, *given, found, losses, {})
    return network, (weights, inputs, records), brief, found, derivatives, leaves


def test_spikes_are_those_of_stock_brian2(results):
    network, (weights, inputs, records), *_ = results
    for sample in range(2):
        stock = run_stock(network, weights, inputs, sample)
        for name in NAMES:
            spikes = records.spikes[name].select(sample, sample + 1)
            found = set(zip(spikes.step.tolist(), spikes.neuron.tolist(), strict=True))
            assert found == stock.spikes[name], name
            assert len(found) >= SIZE, name


def test_derivatives_are_those_of_a_replay(results):
    *_, brief, records, derivatives, leaves = results
    for name in NAMES:
        assert records.spikes[name].n_spikes >= 2, name
    for found, leaf in zip(derivatives.weights, leaves["weights"], strict=True):
        assert np.abs(found).max() > 0
        _assert_close(found, leaf)
    for part in brief.inputs:
        _assert_close(derivatives.inputs[part.name], leaves["inputs"][part.name])
