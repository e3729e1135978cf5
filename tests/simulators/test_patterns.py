"""Patterns: the same as full connections with zeros, and as stock Brian2's synapses."""

import brian2
import numpy as np
import pytest
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Population
from bsnn.patterns import Pattern, convolution, one_to_one, random_pairs
from bsnn.program.graph_form import Losses
from bsnn.simulators.network import NetworkSimulator
from tests.neurons import CASES, SIZE, draw

pytestmark = pytest.mark.cpp

N = 12  # inputs: 3 rows of 4
CELLS = {"cells": "coba_lif", "each": "each"}
SHARED = Pattern([0, 1, 2, 3, 4, 0], [4, 3, 2, 1, 0, 1], [0, 0, 1, 1, 0, 1])
PATTERNS = {
    "in->cells": random_pairs(N, 16, 0.6, seed=1),
    "cells->cells": random_pairs(16, 16, 0.3, seed=2, to_itself=False),
    "map": convolution((1, 3, 4), 1, 2, padding=1),  # onto 4 rows of 5
    "map->each": Pattern([0, 7, 19, 11, 3], [4, 3, 2, 1, 0], [0, 1, 0, 1, 0]),
    "each->each": SHARED,
    "one": one_to_one(SIZE),
}


def make_network(patterns):
    def joined(source, target, key, case, name, delay=0.0):
        return Connection(
            source,
            target,
            on_pre=CASES[case].on_pre,
            pattern=patterns.get(key),
            name=name,
            delay=delay * ms,
        )

    return Network(
        [
            Inputs("in", N),
            Population("cells", 16, CASES["coba_lif"].neuron),
            Population("map", 20, CASES["alif"].neuron),
            Population("each", SIZE, CASES["each"].neuron),
        ],
        [
            joined("in", "cells", "in->cells", "coba_lif", "a"),
            joined("cells", "cells", "cells->cells", "coba_lif", "b", 0.7),
            joined("in", "map", "map", "alif", "c"),
            joined("map", "each", "map->each", "each", "d"),
            joined("each", "each", "each->each", "each", "e", 0.3),
            joined("each", "each", "one", "each", "f", 1.1),
        ],
        dt=0.1 * ms,
        duration=40 * ms,
    )


SPARSE, FULL = make_network(PATTERNS), make_network({})


def scattered(network, weights):
    """The full matrices of the weights of patterns."""
    matrices = []
    for connection, full, given in zip(
        network.connections, FULL.weight_shapes, weights, strict=True
    ):
        matrix = np.zeros(full)
        matrix[connection.pattern.i, connection.pattern.j] = given[
            connection.pattern.weight
        ]
        matrices.append(matrix)
    return matrices


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(5)
    _, inputs = draw(
        Network(
            [Inputs("inputs", N), Population("a", 1, CASES["alif"].neuron)],
            [],
            dt=SPARSE.dt,
            duration=SPARSE.duration,
        ),
        rng,
        n_samples=3,
    )
    strengths = [14.0, 3.0, 3.0, 6.0, 0.3, 0.3]
    weights = [
        strength * rng.uniform(0.3, 1.0, shape)
        for strength, shape in zip(strengths, SPARSE.weight_shapes, strict=True)
    ]
    return weights, {"in": inputs["inputs"]}


@pytest.fixture(scope="module")
def results(drawn):
    weights, inputs = drawn
    found = []
    for network, given in ((SPARSE, weights), (FULL, scattered(SPARSE, weights))):
        learn = {"cells": ["tau_e"], "each": ["bound"]}
        with NetworkSimulator(network, learn=learn, workers=1) as simulator:
            records = simulator.run(given, inputs)
            rng = np.random.default_rng(6)
            losses = Losses(
                spikes={
                    name: (s.offset, rng.normal(size=s.n_spikes))
                    for name, s in records.spikes.items()
                },
                traces={},
            )
            found.append((records, simulator.pull_back(given, inputs, losses)))
    return found


def test_spikes_are_those_of_full_connections(results):
    (sparse, _), (full, _) = results
    for name in ("cells", "map", "each"):
        assert sparse.spikes[name].n_spikes > 40
        np.testing.assert_array_equal(sparse.spikes[name].step, full.spikes[name].step)
        np.testing.assert_array_equal(
            sparse.spikes[name].neuron, full.spikes[name].neuron
        )


def test_derivatives_are_sums_of_those_of_full_connections(results):
    (_, sparse), (_, full) = results
    for connection, mine, theirs in zip(
        SPARSE.connections, sparse.weights, full.weights, strict=True
    ):
        pattern = connection.pattern
        expected = np.zeros(pattern.n_weights)
        np.add.at(expected, pattern.weight, theirs[pattern.i, pattern.j])
        scale = np.abs(expected).max()
        assert scale > 0
        np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-9 * scale)
    for key, expected in full.parameters.items():
        np.testing.assert_allclose(sparse.parameters[key], expected, rtol=1e-9)
    np.testing.assert_allclose(
        sparse.inputs["in"],
        full.inputs["in"],
        rtol=0,
        atol=1e-9 * np.abs(full.inputs["in"]).max(),
    )


def test_spikes_are_those_of_stock_brian2(results, drawn):
    (records, _), _ = results
    weights, inputs = drawn
    brian2.prefs.codegen.target = "numpy"
    brian2.defaultclock.dt = SPARSE.dt
    given = inputs["in"].select(0, 1)
    source = brian2.SpikeGeneratorGroup(
        N, given.neuron, given.step * 0.1 * ms, name="pattern_in"
    )
    neuron = CASES["coba_lif"].neuron
    group = brian2.NeuronGroup(
        16,
        neuron.equations,
        threshold=neuron.threshold,
        reset=neuron.reset,
        refractory=neuron.refractory,
        method=neuron.method,
        namespace=dict(neuron.parameters),
        name="pattern_cells",
    )
    for name, value in neuron.initial.items():
        setattr(group, name, value)
    monitor = brian2.SpikeMonitor(group)
    objects = [source, group, monitor]
    for connection, weight, start in zip(
        SPARSE.connections[:2], weights, (source, group), strict=False
    ):
        synapses = brian2.Synapses(
            start,
            group,
            "w : 1",
            on_pre=connection.on_pre,
            delay=connection.delay,
            namespace={},
            name=f"pattern_{connection.name}",
        )
        synapses.connect(i=connection.pattern.i, j=connection.pattern.j)
        synapses.w = weight[connection.pattern.weight]
        objects.append(synapses)
    brian2.Network(*objects).run(SPARSE.duration, namespace={})
    mine = records.spikes["cells"].select(0, 1)
    assert mine.n_spikes > 15
    found = zip(mine.step.tolist(), mine.neuron.tolist(), strict=True)
    steps = np.rint(np.asarray(monitor.t) / 1e-4).astype(int).tolist()
    assert set(found) == set(zip(steps, np.asarray(monitor.i).tolist(), strict=True))


def test_one_program_serves_all_patterns(drawn):
    weights, inputs = drawn
    other = make_network({**PATTERNS, "each->each": one_to_one(SIZE)})
    with (
        NetworkSimulator(SPARSE, learn={}) as one,
        NetworkSimulator(other, learn={}) as two,
    ):
        assert one.folder == two.folder
        weights = [*weights[:4], np.ones(SIZE), weights[5]]
        assert two.run(weights, inputs).spikes["each"].n_spikes
