"""Rates held within bounds: by hand, and of neurons that are silent at first."""

import numpy as np
import pytest
import torch
from brian2.units import ms, mV

from bsnn import Connection, Inputs, Network, Neuron, Population, Spikes
from bsnn.training import DerivedNetwork, RateLoss
from bsnn.training.spike_times import LayerSpikes

MARGIN = np.random.default_rng(0).uniform(-2, -1, (2, 10, 3))


def layer(n_neurons=3):
    """Of two samples: neuron 0 fires 4 and 2 times, neuron 1 once, neuron 2 never."""
    record = Spikes.from_events(
        sample=[0, 0, 0, 0, 1, 1, 0],
        neuron=[0, 0, 0, 0, 0, 0, 1],
        step=[1, 3, 5, 7, 2, 4, 6],
        n_samples=2,
        n_neurons=n_neurons,
        dt=1e-3,
    )
    time = torch.tensor(record.arrival, requires_grad=True)
    return LayerSpikes(record=record, time=time)


def by_hand(scale):
    """Return what neurons 1 and 2 lack of a spike, and its derivative by the margin."""
    total, slopes = 0.0, np.zeros_like(MARGIN)
    # Behind the only spike of neuron 1, in step 6; else in the whole sample.
    for place in ((0, slice(7, None), 1), (1, ..., 1), (0, ..., 2), (1, ..., 2)):
        weights = np.exp(MARGIN[place] / scale)
        lack = 1 - np.log(weights.mean())
        total += lack**2 / 2 / len(MARGIN)
        slopes[place] = -lack / len(MARGIN) * weights / weights.sum() / scale
    return total, slopes


def test_by_hand():
    given, margin = layer(), torch.tensor(MARGIN, requires_grad=True)
    loss = RateLoss(least=1, most=2, scale=0.5)(given, margin)
    loss.backward()
    # Mean counts 3, 0.5, 0: one too many, half a spike and one too few.
    counts = 0.5 * (1 + 0.5**2 + 1)
    missing, slopes = by_hand(scale=0.5)
    np.testing.assert_allclose(loss.item(), counts + missing)
    # In the order of their times: sample 0 first, whose sixth spike is of neuron 1.
    of_neuron = np.array([-1, 0.5]) / 2
    neuron = given.record.neuron
    np.testing.assert_array_equal(given.time.grad, of_neuron[neuron])
    np.testing.assert_allclose(margin.grad, slopes)


def test_a_neuron_within_its_bounds_is_left_alone():
    given = layer(n_neurons=2)
    margin = torch.tensor(MARGIN[:, :, :2], requires_grad=True)
    loss = RateLoss(least=0.5, most=3)(given, margin)
    loss.backward()
    assert loss.item() == 0
    assert (given.time.grad == 0).all() and margin.grad is None


@pytest.mark.cpp
def test_a_silent_population_begins_to_fire_and_keeps_its_rate():
    neuron = Neuron(
        "dv/dt = (E_L - v + u)/tau_mem : volt\n du/dt = -u/tau_syn : volt",
        "v > V_T",
        "v = E_L",
        parameters={
            "tau_mem": 20 * ms,
            "tau_syn": 5 * ms,
            "E_L": -70 * mV,
            "V_T": -50 * mV,
        },
        initial={"v": -70 * mV},
    )
    network = Network(
        [Inputs("in", 20), Population("cells", 30, neuron, record=["v"])],
        [Connection("in", "cells", on_pre="u += w*mV")],
        dt=1 * ms,
        duration=100 * ms,
    )
    given = np.random.default_rng(1).random((4, 100, 20)) < 0.05
    loss = RateLoss(least=2, most=6, scale=2 * mV)
    with DerivedNetwork(network, weights={"in->cells": (-1.0, 2.0)}) as net:
        optimiser = torch.optim.Adam(net.parameters(), lr=0.3)
        before = net(given)["cells"].record.counts()
        assert before.sum() == 0
        for _ in range(60):
            cells = net(given)["cells"]
            rate = cells.record.counts().mean(0)
            if ((rate >= 2) & (rate <= 6)).all():
                break
            optimiser.zero_grad()
            loss(cells, cells.trace["v"] + 0.05).backward()
            optimiser.step()
        assert (rate >= 2).all() and (rate <= 6).all(), rate


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: RateLoss(least=3, most=2), ValueError, "'least' must not be more"),
        (lambda: RateLoss(least=0, most=2), ValueError, "'least' must be positive"),
        (
            lambda: RateLoss(least=1, most=2)({}, torch.tensor(MARGIN)),
            TypeError,
            r"as activity\['cells'\], got dict",
        ),
        (
            lambda: RateLoss(least=1, most=2)(layer(), MARGIN),
            TypeError,
            "'margin' must be a tensor",
        ),
        (
            lambda: RateLoss(least=1, most=2)(layer(), torch.tensor(MARGIN[:1])),
            ValueError,
            r"'margin' must have shape \(2, n_steps, 3\), as its spikes, got \(1,",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
