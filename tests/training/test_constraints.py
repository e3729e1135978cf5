"""Constraints of weights: what is simulated, and which derivatives pass."""

import copy
import pickle

import numpy as np
import pytest
import torch
from brian2.units import ms, mV, nS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bsnn import Connection, Inputs, Network, Population, Spikes
from bsnn.equations.models import coba_lif
from bsnn.training import (
    Bounds,
    Dale,
    DerivedNetwork,
    Mask,
    Quantised,
    SpikeCountLoss,
    constraints,
)

NONE = coba_lif().dimensions["g_e"] / coba_lif().dimensions["g_e"]
WEIGHTS = arrays(np.float64, (3, 4), elements=st.floats(-5, 5))


def fitted(constraint, shape=(3, 4), dtype=torch.float64):
    constraint.fit(torch.zeros(shape, dtype=dtype), NONE, "a->b")
    return constraint


@given(WEIGHTS)
def test_dale_keeps_the_sign_of_each_presynaptic_neuron(weights):
    found = fitted(Dale([[1], [-1], [1]]))(torch.from_numpy(weights)).numpy()
    np.testing.assert_array_equal(found[[0, 2]], np.maximum(weights[[0, 2]], 0))
    np.testing.assert_array_equal(found[1], np.minimum(weights[1], 0))


@given(WEIGHTS)
def test_quantised_weights_are_the_nearest_of_all_levels(weights):
    for signed, levels in ((True, range(-4, 4)), (False, range(8))):
        constraint = fitted(Quantised(3, 0.5, signed=signed))
        found = constraint(torch.from_numpy(weights)).numpy()
        levels = 0.5 * np.array(levels)
        distance = np.abs(weights[..., None] - levels).min(-1)
        np.testing.assert_allclose(np.abs(found - weights), distance, atol=1e-12)
        assert np.isin(found, levels).all()


@given(WEIGHTS, arrays(np.float64, (3, 4), elements=st.sampled_from([-1.0, 0.0, 2.0])))
def test_derivatives_pass_but_for_those_that_lead_further_out(weights, grad):
    for constraint, low, high in (
        (Bounds(-1, 2), -1, 2),
        (Quantised(3, 0.5), -2, 1.5),
        (Dale(1), 0, np.inf),
    ):
        leaf = torch.tensor(weights, requires_grad=True)
        fitted(constraint)(leaf).backward(torch.from_numpy(grad))
        after = weights - 1e-3 * grad  # a step of descent
        further = np.maximum(low - after, after - high) > np.maximum(
            np.maximum(low - weights, weights - high), 0
        )
        was_out = (weights < low) | (weights > high)
        expected = np.where(was_out & further, 0, grad)
        np.testing.assert_array_equal(leaf.grad.numpy(), expected)


def test_a_mask_leaves_neither_weight_nor_derivative():
    mask = np.arange(12).reshape(3, 4) % 3 > 0
    leaf = torch.ones(3, 4, dtype=torch.float64, requires_grad=True)
    found = fitted(Mask(mask))(leaf)
    found.sum().backward()
    np.testing.assert_array_equal(found.detach().numpy(), mask)
    np.testing.assert_array_equal(leaf.grad.numpy(), mask)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Dale(0), ValueError, "'sign' must be 1 or -1"),
        (lambda: Mask([0.0, 1.0]), TypeError, "'mask' must be of bool"),
        (lambda: fitted(Mask([True, False])), ValueError, "do not fit weights"),
        (lambda: fitted(Dale([1, -1, 1])), ValueError, "do not fit weights"),
        (lambda: fitted(Bounds(2, 1)), ValueError, "must rise from low to high"),
        (lambda: fitted(Bounds(0 * mV, 1)), TypeError, "low of 'a->b'"),
        (lambda: fitted(Bounds(np.nan, 1)), ValueError, "must be finite"),
        (lambda: fitted(Quantised(4, 0.0)), ValueError, "must be positive"),
        (lambda: Quantised(0, 1.0), ValueError, "'n_bits'"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_one_constraint_may_serve_several_connections():
    one = Quantised(3, 0.5)
    first, second = (
        constraints.fitted(one, torch.zeros(3, 4, dtype=dtype), NONE, "a->b")[0]
        for dtype in (torch.float32, torch.float64)
    )
    assert first.step.dtype == torch.float32
    assert second.step.dtype == torch.float64
    for wrong in (3, "Dale", [Dale(1), 3]):
        with pytest.raises(TypeError, match="must be constraints, as Dale"):
            constraints.fitted(wrong, torch.zeros(3, 4), NONE, "a->b")


NETWORK = Network(
    [Inputs("in", 3), Population("cells", 4, coba_lif())],
    [
        Connection("in", "cells", on_pre="g_e += w", name="excite"),
        Connection("cells", "cells", on_pre="g_i += w*nS", name="inhibit"),
    ],
    dt=0.5 * ms,
    duration=40 * ms,
)
SPIKES = Spikes.from_events(
    sample=np.repeat([0, 1], 12),
    neuron=np.tile(np.arange(3), 8),
    step=np.tile(np.repeat([2, 9, 16, 30], 3), 2),
    n_samples=2,
    n_neurons=3,
    dt=0.5 * ms,
)


@pytest.mark.cpp
def test_a_network_simulates_and_learns_constrained_weights():
    rng = np.random.default_rng(0)
    weights = {
        "excite": rng.uniform(-5, 30, (3, 4)) * nS,
        "inhibit": rng.uniform(-2, 2, (4, 4)),
    }
    options = {"precision": "double", "workers": 1}
    with DerivedNetwork(
        NETWORK,
        weights=weights,
        constraints={
            "excite": [Dale(1), Quantised(4, 2 * nS, signed=False)],
            "inhibit": Bounds(0, 1),
        },
        **options,
    ) as net:
        activity = net(SPIKES)
        allowed = {name: c().detach().numpy() for name, c in net.connections.items()}
        levels = np.asarray(allowed["excite"]) / 2e-9
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-9)
        assert 0 <= levels.min() < levels.max() <= 15
        with DerivedNetwork(NETWORK, weights=allowed, **options) as plain:
            expected = plain(SPIKES)["cells"].record
        assert expected.n_spikes > 8
        np.testing.assert_array_equal(activity["cells"].record.step, expected.step)
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-18)
        SpikeCountLoss(true=9, false=1)([activity["cells"]], [0, 1]).backward()
        before = net.connections["excite"].weight.detach().clone()
        optimizer.step()
        assert (net.connections["excite"].weight != before).any()
        for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            with twin:
                for name, connection in twin.connections.items():
                    mine = net.connections[name]().detach().numpy()
                    np.testing.assert_array_equal(connection().detach().numpy(), mine)
