"""Spikes that do not exist yet: by hand, and until they appear."""

import numpy as np
import pytest
import torch
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Population
from bsnn.equations.models import cuba
from bsnn.training import DerivedNetwork, MissingSpikeLoss

from .test_rate_loss import MARGIN, by_hand, layer


@pytest.mark.parametrize("wanted", [2, [2, 2, 2], [[2, 2, 2], [2, 2, 2]]])
def test_by_hand(wanted):
    margin = torch.tensor(MARGIN, requires_grad=True)
    loss = MissingSpikeLoss(scale=0.5)(layer(), margin, wanted)
    loss.backward()
    # Neuron 0 fires often enough, 1 once in one sample, 2 never.
    lacks, slopes = by_hand(scale=0.5)
    np.testing.assert_allclose(loss.item(), lacks)
    np.testing.assert_allclose(margin.grad, slopes)


def test_what_each_sample_wants_is_asked_of_it_alone():
    margin = torch.tensor(MARGIN, requires_grad=True)
    MissingSpikeLoss()(layer(), margin, [[0, 0, 1], [3, 0, 0]]).backward()
    asked = {(sample, neuron) for sample, _, neuron in margin.grad.nonzero().tolist()}
    assert asked == {(0, 2), (1, 0)}


def test_a_margin_of_the_scale_is_enough():
    margin = torch.full((2, 10, 3), 0.5, requires_grad=True)
    assert MissingSpikeLoss(scale=0.5)(layer(), margin, 9).item() == 0


@pytest.mark.cpp
def test_a_wanted_spike_of_an_inhibited_neuron_appears_where_it_is_wanted():
    neuron = cuba(v_threshold=0.2, tau_mem=40 * ms, tau_syn=20 * ms)
    network = Network(
        [Inputs("in", 12), Population("out", 2, neuron, record=["v"])],
        [Connection("in", "out", on_pre="i_syn += w")],
        dt=1 * ms,
        duration=80 * ms,
    )
    given = np.zeros((2, 80, 12), bool)
    given[0, 5:40:5, :6] = given[1, 5:40:5, 6:] = True
    wanted, loss = np.eye(2), MissingSpikeLoss(scale=0.2)
    with DerivedNetwork(network, weights={"in->out": (-0.4, -0.1)}) as net:
        optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
        assert net(given)["out"].record.n_spikes == 0
        for _ in range(100):
            out = net(given)["out"]
            if (out.record.counts() >= wanted).all():
                break
            optimiser.zero_grad()
            loss(out, out.trace["v"] - 0.2, wanted).backward()
            optimiser.step()
        np.testing.assert_array_equal(out.record.counts() > 0, wanted > 0)


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        ([1, 1], ValueError, r"shape \(2, 3\), or one that broadcasts.*got \(2,\)"),
        (np.ones((1, 2, 3)), ValueError, r"got \(1, 2, 3\)"),
        (np.nan, ValueError, "'wanted' must be finite"),
        ("two", TypeError, "'wanted' must hold float"),
    ],
)
def test_what_is_wanted_must_fit(wanted, error, words):
    with pytest.raises(error, match=words):
        MissingSpikeLoss()(layer(), torch.tensor(MARGIN), wanted)


def test_the_rest_is_checked_as_of_rates():
    with pytest.raises(TypeError, match=r"as activity\['cells'\], got dict"):
        MissingSpikeLoss()({}, torch.tensor(MARGIN), 1)
    with pytest.raises(ValueError, match="'scale' must be positive"):
        MissingSpikeLoss(scale=0)
