"""Surrogate gradients equal those of snnTorch, for a network that both can express."""

import numpy as np
import pytest
import torch
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Neuron, Population, Spikes
from bsnn.training import DerivedNetwork, Surrogate

pytestmark = pytest.mark.cpp
snntorch = pytest.importorskip("snntorch")
from snntorch import surrogate  # noqa: E402

DT, TAU, TAU_SYN, SLOPE = 1 * ms, 10 * ms, 4 * ms, 25
N_STEPS, SIZES = 40, {"in": 6, "cells": 9, "out": 3}
# snnTorch does not differentiate what a reset does, so neither neuron has one.
CELL = Neuron(
    "dv/dt = (s - v)/tau : 1\nds/dt = -s/tau_syn : 1",
    threshold="v > 1",
    reset="",
    method="euler",
    parameters={"tau": TAU, "tau_syn": TAU_SYN},
)
NETWORK = Network(
    [
        Inputs("in", SIZES["in"]),
        Population("cells", SIZES["cells"], CELL),
        Population("out", SIZES["out"], CELL, record=["v"]),
    ],
    [
        Connection("in", "cells", on_pre="s += w"),
        Connection("cells", "cells", on_pre="s += w"),
        Connection("cells", "out", on_pre="s += w"),
    ],
    dt=DT,
    duration=N_STEPS * DT,
)


def with_snntorch(weights, raster):
    """Return cells' spikes and traces of the outputs, (n_steps, n_samples, n)."""
    cells, out = (
        snntorch.Synaptic(
            alpha=torch.tensor(1 - float(DT / TAU_SYN), dtype=torch.float64),
            beta=torch.tensor(1 - float(DT / TAU), dtype=torch.float64),
            spike_grad=surrogate.fast_sigmoid(slope=SLOPE),
            reset_mechanism="none",
        ).double()
        for _ in range(2)
    )
    states = [
        [torch.zeros(raster.shape[1], SIZES[name], dtype=torch.float64)] * 3
        for name in ("cells", "out")
    ]  # spikes, current and potential
    came = torch.zeros_like(raster[0])  # spikes act on the potential a step later
    spikes, traces, gain = [], [], float(DT / TAU)
    for now in raster:
        (fired, *hidden), (_, *last) = states
        traces.append(last[1])
        drive = came @ weights["in->cells"] + fired @ weights["cells->cells"]
        states = [
            cells(gain * drive, *hidden),
            out(gain * (fired @ weights["cells->out"]), *last),
        ]
        states[0] = (states[0][0].double(), *states[0][1:])
        spikes.append(states[0][0])
        came = now
    return torch.stack(spikes), torch.stack(traces)


def test_recurrent_gradients_equal_those_of_snntorch():
    rng = np.random.default_rng(1)
    raster = rng.random((4, N_STEPS, SIZES["in"])) < 0.3
    weights = {
        c.name: rng.normal(0.2, 1.5, (SIZES[c.source], SIZES[c.target]))
        for c in NETWORK.connections
    }
    weights["cells->cells"] *= 0.3
    leaves = {n: torch.tensor(w, requires_grad=True) for n, w in weights.items()}
    dense = torch.tensor(raster.swapaxes(0, 1), dtype=torch.float64)
    spikes, traces = with_snntorch(leaves, dense)
    asked = torch.tensor(rng.normal(size=traces.shape))
    (traces * asked).sum().backward()
    with DerivedNetwork(
        NETWORK,
        weights=weights,
        estimator=Surrogate("fast-sigmoid", width=1 / SLOPE),
        precision="double",
        workers=1,
    ) as net:
        activity = net(Spikes.from_dense(raster, dt=DT))
        np.testing.assert_array_equal(
            activity["cells"].raster.detach().swapaxes(0, 1), spikes.detach()
        )
        trace = activity["out"].trace["v"]
        torch.testing.assert_close(trace.swapaxes(0, 1), traces.detach())
        (trace * asked.swapaxes(0, 1)).sum().backward()
        found = {n: c.weight.grad for n, c in net.connections.items()}
    assert 0.1 < spikes.detach().mean() < 0.9
    for name, leaf in leaves.items():
        largest = leaf.grad.abs().max()
        difference = (found[name] - leaf.grad).abs().max()
        assert difference < 1e-6 * largest, name  # its spikes are of single precision
