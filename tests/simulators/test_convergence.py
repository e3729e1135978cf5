"""As dt falls, derivatives become those of a network without a grid."""

import numpy as np
import pytest
from brian2.units import ms

from bsnn import Network, Spikes
from bsnn.program.graph_form import Losses
from bsnn.simulators.network import NetworkSimulator
from tests.neurons import CASES, N_INPUTS, SIZE, all_neurons, draw, learned
from tests.oracles.exact import ExactPopulation

pytestmark = pytest.mark.cpp

COARSE = 0.1  # ms: inputs lie on this grid at every dt


def _numbered(spikes):
    """Number the spikes of each neuron, in order."""
    count = np.zeros(SIZE, int)
    for _, neuron in spikes:
        yield neuron, count[neuron]
        count[neuron] += 1


# Where a spike arrives within microseconds of another neuron's, the grid changes their
# order until dt is shorter than that; these seeds have no such pair.
@pytest.mark.parametrize(
    ("name", "parameter", "seed", "duration"),
    [
        ("qif", "tau_mem", 2, 25),
        ("adex", "b", 0, 25),
        ("coba_lif", "V_T", 0, 25),
        ("hodgkin_huxley", "g_Na", 2, 12),
    ],
)
def test_derivatives_converge_to_those_without_a_grid(name, parameter, seed, duration):
    network = all_neurons(duration * ms)
    rng = np.random.default_rng(seed)
    weights, inputs = draw(network, rng, n_samples=1, n_spikes=4)
    coarse, case = inputs["inputs"], CASES[name]
    from_inputs, recurrent = (
        k for k, c in enumerate(network.connections) if c.target == name
    )
    exact = ExactPopulation(network.named[name], case.on_pre, duration=1e-3 * duration)
    arrivals = list(zip(coarse.arrival.tolist(), coarse.neuron.tolist(), strict=True))
    price = rng.normal(size=(SIZE, 50))  # of each spike's time

    def loss(w, v, d, changed):
        spikes = exact.run(arrivals, w, v, d, changed)
        times = [time for time, _ in spikes]
        return sum(
            price[which] * t for which, t in zip(_numbered(spikes), times, strict=True)
        )

    w, v = weights[from_inputs], weights[recurrent]
    along_w, along_v = (case.strength * rng.normal(size=x.shape) for x in (w, v))
    d = np.asarray(network.connections[recurrent].delay)
    along_d = 1e-3 * rng.normal(size=d.shape)
    value, e = case.neuron.values[parameter], 1e-5
    changes = [
        lambda s: loss(w + s * along_w, v, d, {}),
        lambda s: loss(w, v + s * along_v, d, {}),
        lambda s: loss(w, v, d + s * along_d, {}),
        lambda s: loss(w, v, d, {parameter: value * (1 + s)}),
    ]
    expected = np.array([(at(e) - at(-e)) / (2 * e) for at in changes])

    errors = []
    for dt in (0.02, 0.005):
        finer = round(COARSE / dt)
        fine = Network(
            network.populations,
            network.connections,
            dt=dt * ms,
            duration=duration * ms,
        )
        spikes = Spikes.from_events(
            sample=coarse.sample,
            neuron=coarse.neuron,
            step=(coarse.step + 1) * finer - 1,
            n_samples=1,
            n_neurons=N_INPUTS,
            dt=dt * ms,
        )
        currents = {
            key: np.repeat(values, finer, axis=1)
            for key, values in inputs["current"].items()
        }
        given = {"inputs": spikes, "current": currents}
        with NetworkSimulator(fine, learn=learned(), workers=1) as simulator:
            records = simulator.run(weights, given)
            record = records.spikes[name]
            fired = zip(record.step.tolist(), record.neuron.tolist(), strict=True)
            by_time = [price[which] for which in _numbered(fired)]
            losses = Losses(
                spikes={
                    key: (s.offset, by_time if key == name else np.zeros(s.n_spikes))
                    for key, s in records.spikes.items()
                },
                traces={k: np.zeros(t.shape) for k, t in records.traces.items()},
            )
            found = simulator.pull_back(weights, given, losses)
        derivatives = np.array(
            [
                (found.weights[from_inputs] * along_w).sum(),
                (found.weights[recurrent] * along_v).sum(),
                (found.delays[f"{name}->{name}"] * along_d).sum(),
                found.parameters[name, parameter][0] * value,
            ]
        )
        difference = np.linalg.norm(derivatives - expected)
        errors.append(difference / np.linalg.norm(expected))
    assert errors[1] < 0.35 * errors[0], errors
    assert errors[1] < 0.03, errors
