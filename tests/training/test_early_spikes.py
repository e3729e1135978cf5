"""The loss that rewards early decisions: closed form, both kinds of derivative."""

import numpy as np
import pytest
import torch
from brian2.units import ms

from bsnn import Spikes
from bsnn.settings import Settings
from bsnn.training import EarlySpikeLoss, SpikeCountLoss
from bsnn.training.from_settings import make_loss
from bsnn.training.spike_times import LayerSpikes

STEPS, LABELS, TAU = 12, [1, 0], 0.02


@pytest.fixture
def record():
    dense = np.zeros((2, STEPS, 3), bool)
    dense[0, [2, 5], 1] = dense[0, 4, 0] = dense[1, 7, 2] = True
    return Spikes.from_dense(dense, dt=5 * ms)


def by_hand(times):
    """Of (sample, neuron, time) triples, in plain torch."""
    evidence = [[0.0] * 3 for _ in range(2)]
    for sample, neuron, time in times:
        evidence[sample][neuron] += 1.5 * torch.exp(-time / TAU)
    rows = [torch.stack([torch.as_tensor(x).double() for x in r]) for r in evidence]
    return -sum(
        torch.log_softmax(row, 0)[label]
        for row, label in zip(rows, LABELS, strict=True)
    ) / len(LABELS)


def test_spike_times_move_as_in_plain_torch(record):
    time = torch.tensor(record.arrival.copy(), requires_grad=True)
    layer = LayerSpikes(record=record, time=time)
    loss = EarlySpikeLoss(tau=20 * ms, scale=1.5)([layer], LABELS)
    own = torch.tensor(record.arrival.copy(), requires_grad=True)
    expected = by_hand(zip(record.sample, record.neuron, own, strict=True))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(time.grad, own.grad, rtol=1e-12, atol=0)
    label = (record.sample == 0) & (record.neuron == 1)
    late_is_worse = time.grad.numpy()[label]
    assert (late_is_worse > 0).all()
    assert late_is_worse[0] > late_is_worse[1]  # the early ones move most


def test_under_a_surrogate_it_is_the_same_number_and_reaches_absent_spikes(record):
    raster = torch.zeros(2, STEPS, 3)
    raster.numpy()[record.sample, record.step, record.neuron] = 1
    raster.requires_grad_()
    layer = LayerSpikes(
        record=record, time=torch.from_numpy(record.arrival.copy()), raster=raster
    )
    loss = EarlySpikeLoss(tau=20 * ms, scale=1.5)([layer], LABELS)
    times = LayerSpikes(record=record, time=torch.from_numpy(record.arrival.copy()))
    same = EarlySpikeLoss(tau=20 * ms, scale=1.5)([times], LABELS)
    assert loss.item() == pytest.approx(same.item(), rel=1e-6)
    loss.backward()
    # One more spike of the label, and an early one, would help most.
    assert (raster.grad[1, :, 0] < 0).all()
    assert raster.grad[1, :, 0].argmin() == 0
    with torch.no_grad():
        raster[1, 3, 0] += 1e-3
        moved = EarlySpikeLoss(tau=20 * ms, scale=1.5)([layer], LABELS)
    slope = (moved - loss.detach()).item() / 1e-3
    assert slope == pytest.approx(raster.grad[1, 3, 0].item(), rel=1e-2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tau": 20}, TypeError, "'tau' must be"),
        ({"tau": 0 * ms}, ValueError, "'tau' must be positive"),
        ({"tau": 1 * ms, "scale": -1}, ValueError, "'scale' must be positive"),
    ],
)
def test_numbers_that_make_no_loss_are_named(options, error, message):
    with pytest.raises(error, match=message):
        EarlySpikeLoss(**options)


def test_a_training_may_weigh_latency(record):
    chosen = Settings.reference("digits", latency_weight=2.0, latency_tau_ms=20.0)
    layer = LayerSpikes(record=record, time=torch.from_numpy(record.arrival.copy()))
    expected = SpikeCountLoss()([layer], LABELS)
    expected = expected + 2 * EarlySpikeLoss(tau=20 * ms)([layer], LABELS)
    assert make_loss(chosen)([layer], LABELS).item() == pytest.approx(expected.item())
    with pytest.raises(ValueError, match="'latency_weight' must not be negative"):
        Settings.reference("digits", latency_weight=-1.0)
