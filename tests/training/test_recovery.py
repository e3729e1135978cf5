"""Constants of neurons are found again from what neurons with them did."""

import numpy as np
import pytest
import torch
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Population
from bsnn.equations.models import lif
from bsnn.training import DerivedNetwork

pytestmark = pytest.mark.cpp

N_SAMPLES, N_INPUTS, SIZE, N_STEPS = 6, 30, 12, 500
DT = 0.2 * ms
N_UPDATES = 150
TRUTH = {"tau_mem": 20 * ms, "v_threshold": 1.0, "v_reset": 0.3}
STARTS = [  # 30 % off, this way and that
    {"tau_mem": 26 * ms, "v_threshold": 0.7, "v_reset": 0.39},
    {"tau_mem": 14 * ms, "v_threshold": 1.3, "v_reset": 0.21},
]
BOUNDS = {
    "tau_mem": (5 * ms, 80 * ms),
    "v_threshold": (0.5, 2.0),
    "v_reset": (-0.5, 0.6),
}


def _module(values):
    network = Network(
        [Inputs("in", N_INPUTS), Population("cells", SIZE, lif(**values), record="v")],
        [Connection("in", "cells", on_pre="i_syn += w")],
        dt=DT,
        duration=N_STEPS * DT,
    )
    # Drives from weak to strong tell a time constant from a threshold.
    rng = np.random.default_rng(0)
    weights = rng.uniform(0, 1, (N_INPUTS, SIZE)) * np.linspace(0.5, 1.2, SIZE)
    return DerivedNetwork(
        network,
        weights={"in->cells": weights},
        learn={"cells": list(values)},
        bounds={"cells": BOUNDS},
        precision="double",
    )


def _train(record):
    spikes = np.zeros((N_SAMPLES, N_STEPS, SIZE), bool)
    spikes[record.sample, record.step, record.neuron] = True
    return spikes


def _agreed(record, data):
    """Return up to which step each neuron fires as in the data.

    Shape (n_samples, n_neurons).
    """
    differs = _train(record) != _train(data)
    return np.where(differs.any(1), differs.argmax(1), N_STEPS)


def _next(activity, agreed):
    """Return the time of each neuron's first spike that is not agreed on, or inf."""
    record = activity.record
    later = record.step >= agreed[record.sample, record.neuron]
    where = record.sample * SIZE + record.neuron
    cells, first = np.unique(where[later], return_index=True)
    found = torch.full((N_SAMPLES * SIZE,), np.inf, dtype=torch.float64)
    found[cells] = activity.time[np.flatnonzero(later)[first]]
    return found


def _loss(activity, data):
    """Compare voltages as far as spikes agree, and the times of the next spikes.

    An error of 0.1 in voltage counts as much as one of 10 ms.
    """
    agreed = _agreed(activity.record, data.record)
    alike = torch.from_numpy(np.arange(N_STEPS)[:, None] < agreed[:, None])
    off = torch.where(alike, activity.trace["v"] - data.trace["v"], 0.0) / 0.1
    mine, theirs = (_next(x, agreed) for x in (activity, data))
    both = torch.isfinite(mine) & torch.isfinite(theirs)
    late = (mine - theirs)[both] / 10e-3
    return off.square().sum() / alike.sum() + late.square().sum() / max(1, both.sum())


@pytest.fixture(scope="module")
def recorded():
    """Input spikes, and the spikes and voltages of neurons with the true constants."""
    rng = np.random.default_rng(1)
    inputs = rng.random((N_SAMPLES, N_STEPS, N_INPUTS)) < 0.005
    with _module(TRUTH) as cells, torch.no_grad():
        data = cells(inputs)["cells"]
    assert data.record.n_spikes > 4 * N_SAMPLES * SIZE
    return inputs, data


@pytest.mark.parametrize("start", STARTS)
def test_constants_that_made_the_data_are_found(start, recorded):
    inputs, data = recorded
    with _module(start) as cells:
        optimiser = torch.optim.Adam(cells.learned.parameters(), lr=0.05)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, N_UPDATES)
        for _ in range(N_UPDATES):
            optimiser.zero_grad()
            _loss(cells(inputs)["cells"], data).backward()
            optimiser.step()
            schedule.step()
        for (_, name), value in cells.values().items():
            assert float(value / TRUTH[name]) == pytest.approx(1, abs=0.02), name
