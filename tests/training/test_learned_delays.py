"""Delays as torch parameters: learned straight-through on the grid, within a sample."""

import numpy as np
import pytest
import torch
from brian2.units import ms, mV

from bsnn import Connection, Inputs, Network, Population, Spikes
from bsnn.equations.models import alif
from bsnn.errors import NumbersError
from bsnn.training import DerivedNetwork

pytestmark = pytest.mark.cpp

N = 4
LEARN = {("in", "out"): ["delay"]}  # and not its weights
SPIKES = Spikes.from_events(
    sample=np.zeros(N, int),
    neuron=np.arange(N),
    step=[10, 40, 70, 100],
    n_samples=1,
    n_neurons=N,
    dt=0.1 * ms,
)


def make_network(delay):
    return Network(
        [Inputs("in", N), Population("out", 2, alif(tau_mem=5 * ms, tau_syn=2 * ms))],
        [Connection("in", "out", on_pre="i_syn += w", delay=delay)],
        dt=0.1 * ms,
        duration=60 * ms,
    )


@pytest.fixture
def net(request):
    rng = np.random.default_rng(1)
    delay = rng.uniform(1, 4, getattr(request, "param", (N, 2))) * ms
    with DerivedNetwork(
        make_network(delay),
        weights={"in->out": rng.uniform(4.0, 6.0, (N, 2))},
        learn=LEARN,
        precision="double",
        workers=1,
    ) as net:
        yield net


@pytest.mark.parametrize("net", [(), (N, 1), (N, 2)], indirect=True)
def test_what_delays_all_inputs_delays_each_spike_as_much(net):
    """Time has no origin: the derivatives of a spike by all delays add up to 1."""
    out = net(SPIKES)["out"]
    assert out.record.n_spikes > 4
    delay = net.connections["in->out"].delay
    for time in out.time:
        (grad,) = torch.autograd.grad(time, delay, retain_graph=True)
        assert grad.sum().item() == pytest.approx(1e-3, rel=1e-9)  # seconds by ms


def test_weights_that_are_not_named_stay(net):
    weight = net.connections["in->out"].weight
    assert not weight.requires_grad
    net(SPIKES)["out"].time.sum().backward()
    assert weight.grad is None


def test_learned_delays_bring_spikes_to_their_targets(net):
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    first = first_times(net)
    target = first.detach() + torch.tensor([2e-3, 1e-3], dtype=torch.float64)
    for _ in range(150):
        optimizer.zero_grad()
        (1e6 * (first - target) ** 2).sum().backward()
        optimizer.step()
        first = first_times(net)
    assert (first - target).abs().max() <= 0.1001e-3  # a step
    values = net.values()["in->out", "delay"]
    assert values.shape == (N, 2)
    assert values.dim == (1 * ms).dim


def first_times(net):
    out = net(SPIKES)["out"]
    firsts = [np.flatnonzero(out.record.neuron == j)[0] for j in range(2)]
    return out.time[firsts]


def test_delays_stay_within_a_sample(net):
    delay = net.connections["in->out"].delay
    with torch.no_grad():
        delay[...] = torch.linspace(-5, 100, delay.numel()).reshape(delay.shape)
    net(SPIKES)
    assert delay.min().item() == 0
    assert delay.max().item() == pytest.approx(59.9)


def test_a_delay_that_is_no_number_is_named(net):
    with torch.no_grad():
        net.connections["in->out"].delay[0, 0] = np.nan
    with pytest.raises(NumbersError, match="delays of 'in->out' must be finite"):
        net(SPIKES)


def of_delay(low, high):
    return {"in->out": {"delay": (low, high)}}


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"learn": {("out", "in"): ["delay"]}}, ValueError, "there are 0 connections"),
        ({"learn": {"in->out": ["tau"]}}, ValueError, "may name 'w' and 'delay'"),
        ({"bounds": {"in->out": {"delay": (0 * mV, 1 * mV)}}}, TypeError, "must be in"),
        (
            {"bounds": {"in->out": {"delay": (-1 * ms, 1 * ms)}}},
            ValueError,
            "last step",
        ),
        ({"bounds": {"in->out": {"delay": (2 * ms, 1 * ms)}}}, ValueError, "rise"),
        ({"bounds": {"in->out": {"w": (0, 1)}}}, ValueError, "constraints"),
        ({"gradient": "modes"}, ValueError, "chain of linear neurons"),
    ],
)
def test_what_does_not_fit_is_named(change, error, match):
    options = {"weights": {"in->out": (2.0, 3.0)}, "learn": LEARN, **change}
    with pytest.raises(error, match=match):
        DerivedNetwork(make_network(np.ones((N, 2)) * ms), **options)
