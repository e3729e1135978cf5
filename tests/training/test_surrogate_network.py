"""A network trained by surrogate gradients, as a torch module."""

import numpy as np
import pytest
import torch
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Neuron, Population, Spikes
from bsnn.training import (
    DerivedNetwork,
    FirstSpikeLoss,
    RateLoss,
    ReadoutLoss,
    SpikeCountLoss,
    Surrogate,
    VanRossumLoss,
)

pytestmark = pytest.mark.cpp

CELL = Neuron(
    "dv/dt = (s - v)/tau : 1\nds/dt = -s/(5*ms) : 1",
    threshold="v > 1",
    reset="v -= 1",
    parameters={"tau": 10 * ms},
)
SUM = Neuron("dy/dt = -y/(20*ms) : 1")
NETWORK = Network(
    [
        Inputs("in", 5),
        Population("cells", 8, CELL, record=["v"]),
        Population("out", 3, CELL),
        Population("sums", 2, SUM, record=["y"]),
    ],
    [
        Connection("in", "cells", on_pre="s += w"),
        Connection("cells", "cells", on_pre="s += w", delay=2 * ms),
        Connection("cells", "out", on_pre="s += w"),
        Connection("cells", "sums", on_pre="y += w"),
    ],
    dt=1 * ms,
    duration=50 * ms,
)
WEIGHTS = {
    "in->cells": (0, 2),
    "cells->cells": (-0.3, 0.3),
    "cells->out": (-0.5, 1),
    "cells->sums": (-0.3, 0.3),
}
SURROGATE = Surrogate("triangle", width=1.0, height=0.5)


def make_net(network=NETWORK, **options):
    options = {"weights": WEIGHTS, "estimator": SURROGATE, "workers": 1} | options
    return DerivedNetwork(network, **options)


@pytest.fixture(scope="module")
def net():
    with make_net(learn={"cells": ["tau"]}) as opened:
        yield opened


@pytest.fixture
def inputs(rng):
    return Spikes.from_dense(rng.random((6, 50, 5)) < 0.2, dt=1 * ms)


def gradients(net, loss):
    net.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def test_a_raster_has_the_recorded_spikes(net, inputs):
    layer = net(inputs)["cells"]
    assert layer.raster.shape == (6, 50, 8)
    sample, step, neuron = layer.raster.detach().nonzero().numpy().T
    np.testing.assert_array_equal(sample, layer.record.sample)
    np.testing.assert_array_equal(step, layer.record.step)
    np.testing.assert_array_equal(neuron, layer.record.neuron)
    assert layer.time.requires_grad is False


def test_losses_of_counts_differentiate_the_raster(net, inputs):
    labels = np.array([0, 1, 2, 0, 1, 2])
    activity = net(inputs)
    layers = [activity["cells"], activity["out"]]
    loss = SpikeCountLoss(true=6, false=1, spike_penalty=0.2)(layers, labels)
    target = torch.ones(6, 3).index_put(
        (torch.arange(6), torch.tensor(labels)), torch.tensor(6.0)
    )
    counts = activity["out"].raster.sum(1)
    expected = 0.5 * (counts - target).square().sum() / 6
    expected = expected + 0.2 * activity["cells"].raster.sum() / 6
    torch.testing.assert_close(loss.float(), expected)
    found = gradients(net, loss)
    activity = net(inputs)
    counts = activity["out"].raster.sum(1)
    by_hand = 0.5 * (counts - target).square().sum() / 6
    by_hand = by_hand + 0.2 * activity["cells"].raster.sum() / 6
    torch.testing.assert_close(found, gradients(net, by_hand))
    assert all(grad.abs().max() > 0 for grad in found[:3])


def test_rates_are_held_without_the_trace(net, inputs):
    """The margin still lifts the silent; counts move all the others."""
    activity = net(inputs)
    margin = activity["cells"].trace["v"] - 1
    loss = RateLoss(least=1, most=2)(activity["cells"], margin.detach())
    rate = activity["cells"].raster.sum(1).mean(0).detach()
    outside = torch.relu(1 - rate) + torch.relu(rate - 2)
    assert loss.item() >= 0.5 * outside.square().sum().item() - 1e-6
    assert (outside > 0).any()
    assert gradients(net, loss)[0].abs().max() > 0


@pytest.mark.parametrize(
    "loss",
    [
        lambda a: FirstSpikeLoss(tau=5 * ms, duration=50 * ms)([a["out"]], [0] * 6),
        lambda a: VanRossumLoss(tau=5 * ms)(a["out"], a["out"].record),
    ],
)
def test_losses_of_times_are_refused(loss, net, inputs):
    with pytest.raises(TypeError, match="which a surrogate gradient does not; use a"):
        loss(net(inputs))


def test_a_silent_network_learns_from_a_trace(inputs):
    """Nothing fires at first, so no spike has a time that could be taught."""
    fired, losses = [], []
    with make_net(weights={**WEIGHTS, "in->cells": (0, 0.2)}, seed=1) as net:
        optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
        for _ in range(40):
            activity = net(inputs)
            loss = ReadoutLoss("mean")(activity["sums"].trace["y"], [0] * 6)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            fired.append(activity["cells"].record.n_spikes)
            losses.append(loss.item())
    assert fired[0] == 0 < fired[-1]
    assert losses[-1] < 0.7 * losses[0]


def test_delays_are_learned_from_a_trace():
    """An arrival has a time, whatever of its spike is differentiated."""
    spikes = Spikes.from_dense(np.eye(50, 5, -3)[None] > 0, dt=1 * ms)
    network = Network(
        [NETWORK.named["in"], NETWORK.named["cells"], NETWORK.named["sums"]],
        [
            Connection("in", "cells", on_pre="s += w", delay=np.ones((5, 1)) * ms),
            Connection("cells", "sums", on_pre="y += w", delay=np.ones((8, 2)) * ms),
        ],
        dt=1 * ms,
        duration=50 * ms,
    )
    wanted = {
        "in->cells": torch.tensor([[1.0], [4.0], [2.0], [7.0], [3.0]]),
        "cells->sums": torch.arange(16.0).reshape(8, 2) / 2,
    }
    weights = {"in->cells": np.eye(5, 8) * 8, "cells->sums": np.ones((8, 2))}
    learn = {name: ["delay"] for name in wanted}
    with make_net(network, weights=weights, learn=learn) as net:
        delays = {name: net.connections[name].delay for name in wanted}
        first = {name: delay.detach().clone() for name, delay in delays.items()}
        with torch.no_grad():
            for name, delay in delays.items():
                delay.copy_(wanted[name])
            target = net(spikes)["sums"].trace["y"].clone()
            for name, delay in delays.items():
                delay.copy_(first[name])
        optimizer = torch.optim.Adam(delays.values(), lr=0.2)
        losses = []
        for _ in range(150):
            loss = (net(spikes)["sums"].trace["y"] - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert min(losses) < 0.1 * losses[0]


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        (
            {"estimator": "triangle"},
            TypeError,
            "'estimator' must be a StraightThrough",
        ),
        ({"gradient": "modes"}, ValueError, "'gradient' and a surrogate 'estimator'"),
        ({"slope_min": {"cells": 1}}, ValueError, "'slope_min' and a surrogate"),
    ],
)
def test_what_excludes_a_surrogate_is_named(options, error, what):
    with pytest.raises(error, match=what):
        make_net(**options)


def test_times_of_inputs_are_not_differentiated(net, inputs):
    with pytest.raises(ValueError, match="'input_times' must be left out under a"):
        net(inputs, input_times=True)
