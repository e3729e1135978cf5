"""Where in its step a spike counts as crossing: equal to a replay in torch."""

import numpy as np
import pytest
import torch
from brian2.units import ms

from bsnn.equations.dynamics import Dynamics
from bsnn.program.graph_form import Losses
from bsnn.simulators.network import NetworkSimulator
from bsnn.training import StraightThrough
from tests.neurons import CASES, all_neurons, draw, learned
from tests.oracles.replay import replay

pytestmark = [
    pytest.mark.cpp,
    # Of torch itself, where it first differentiates forwards.
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),
]

# In "volt" spikes arrive at the membrane itself: it is above threshold between steps.
NAMES = ["cuba", "adex", "coba_lif", "volt"]
NETWORK = all_neurons(12 * ms, names=NAMES)
LEARN = {name: learned()[name] for name in NAMES}
FLOORS = {
    name: 0.1 * Dynamics(CASES[name].neuron).slope_scale() + 1e-3 for name in NAMES
}
ESTIMATORS = {
    "linear": StraightThrough("linear"),
    "end": StraightThrough("end"),
    "capped": StraightThrough("end", slope_cap=2),
}


@pytest.fixture(scope="module")
def compared():
    """Of each estimator, the derivatives of the program and the replay's leaves."""
    weights, inputs = draw(NETWORK, np.random.default_rng(2), n_samples=1, n_spikes=4)
    results = {}
    for name, estimator in ESTIMATORS.items():
        options = {"learn": LEARN, "estimator": estimator, "workers": 1}
        with NetworkSimulator(NETWORK, **options) as simulator:
            records = simulator.run(weights, inputs)
            rng = np.random.default_rng(3)
            losses = Losses(
                spikes={
                    n: (s.offset, rng.normal(size=s.n_spikes))
                    for n, s in records.spikes.items()
                },
                traces={k: np.zeros_like(t) for k, t in records.traces.items()},
            )
            found = simulator.pull_back(weights, inputs, losses, slope_min=FLOORS)
        leaves, times, _ = replay(
            NETWORK,
            weights,
            inputs,
            records.spikes,
            0,
            learn=LEARN,
            slope_min=FLOORS,
            taken=estimator.crossing,
            cap=estimator.slope_cap or np.inf,
        )
        given = losses.spikes.items()
        sum((times[n] * torch.tensor(v)).sum() for n, (_, v) in given).backward()
        results[name] = found, leaves
    return results


def assert_close(found, leaf):
    expected = leaf.grad.numpy().reshape(found.shape)
    assert np.abs(expected).max() > 0
    atol = 1e-9 * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_derivatives_are_those_of_a_replay(estimator, compared):
    found, leaves = compared[estimator]
    for by_weight, leaf in zip(found.weights, leaves["weights"], strict=True):
        assert_close(by_weight, leaf)
    for key, leaf in leaves["parameters"].items():
        if leaf.grad is not None:
            assert_close(found.parameters[key], leaf)


def test_estimators_differ(compared):
    weights = [found.weights for found, _ in compared.values()]
    for one, other in zip(weights, weights[1:], strict=False):
        # Those of "volt" cross where spikes arrive, or are clamped.
        differ = [
            np.abs(a - b).max() > 1e-3 * np.abs(a).max()
            for a, b in zip(one, other, strict=True)
        ]
        assert sum(differ) >= 3


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"crossing": "start"}, ValueError, "'crossing' must be one of exact, linear"),
        ({"slope_cap": 0.5}, ValueError, "'slope_cap' must be 1 or more"),
        ({"slope_cap": "2"}, TypeError, "'slope_cap' must be"),
    ],
)
def test_what_no_estimator_is_says_so(options, error, what):
    with pytest.raises(error, match=what):
        StraightThrough(**options)


def test_another_estimator_is_refused():
    with pytest.raises(TypeError, match="'estimator' must be a StraightThrough or"):
        NetworkSimulator(NETWORK, learn={}, estimator="exact")
