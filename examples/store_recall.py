"""Store and recall: what adaptation remembers over most of a second
=================================================================

::

    python examples/store_recall.py
    python examples/store_recall.py --neuron lif

In each tenth of a second one of two groups of inputs may fire, for a bit of value 0 or
1. One of the first three bits comes with the command to store it; the others are there
to distract. At the end the command to recall comes, alone, and two integrators tell
which bit was stored.

The neurons have time constants of 20 ms. Adaptive ones (ALIF) are less easily moved
for two seconds after they have fired, and remember; plain LIF neurons are the same
without adaptation. Bellec et al. 2018, arXiv:1803.09574, gave this task.

Weights onto the neurons are random and frozen, those of the integrators are learned.
What is remembered is how often a neuron has fired; a derivative of spike times does not
see that one spike more would leave more adaptation behind, and learning with it what
drives the neurons did not help.
"""

import bsnn  # isort: skip  before torch, whose idle threads would spin

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from brian2 import ms, second

from bsnn.equations.models import alif
from bsnn.training import DerivedNetwork, ReadoutLoss

GROUP, RATE, SLOT, N_SLOTS = 10, 60.0, 0.1, 10  # inputs a group, Hz, seconds
VALUE, STORE, RECALL = (0, 1), 2, 3  # groups
HIDDEN, BATCH, N_TRAIN, N_TEST = 400, 50, 1000, 1000
ADAPTIVE = {"beta": 0.5, "tau_a": 2 * second}
INTEGRATOR = bsnn.Neuron(
    """
    dv/dt     = (-v + i_syn)/tau_mem : 1
    di_syn/dt = -i_syn/tau_syn       : 1
    """,
    parameters={"tau_mem": 20 * ms, "tau_syn": 10 * ms},
)


def make_network(dt, kind):
    """Return four groups of inputs, recurrent neurons, and two integrators."""
    own = ADAPTIVE if kind == "alif" else {"beta": 0.0}
    cell = alif(tau_mem=20 * ms, tau_syn=10 * ms, **own)
    joined = [("in", "cells"), ("cells", "cells"), ("cells", "out")]
    return bsnn.Network(
        [
            bsnn.Inputs("in", 4 * GROUP),
            bsnn.Population("cells", HIDDEN, cell),
            bsnn.Population("out", 2, INTEGRATOR, record=["v"]),
        ],
        [bsnn.Connection(*ends, on_pre="i_syn += w") for ends in joined],
        dt=dt,
        duration=N_SLOTS * SLOT * second,
    )


def draw(n_samples, seed, dt):
    """Return spikes of the inputs, and the bits that are stored."""
    rng = np.random.default_rng(seed)
    active = np.zeros((n_samples, N_SLOTS, 4), bool)
    bits = rng.integers(2, size=(n_samples, N_SLOTS))
    shown = rng.random((n_samples, N_SLOTS)) < 0.5
    stored, each = rng.integers(3, size=n_samples), np.arange(n_samples)
    shown[each, stored] = True
    shown[:, -1] = False
    for value in VALUE:
        active[..., value] = shown & (bits == value)
    active[each, stored, STORE] = True
    active[:, -1, RECALL] = True
    per_slot = round(SLOT * second / dt)
    rate = np.repeat(np.repeat(active, per_slot, axis=1), GROUP, axis=2)
    spikes = rng.random(rate.shape) < rate * RATE * float(dt / second)
    return bsnn.Spikes.from_dense(spikes, dt=dt), bits[each, stored]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--neuron", choices=("alif", "lif"), default="alif")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--dt-ms", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    dt = arguments.dt_ms * ms
    weights = {"in->cells": (-2, 2), "cells->cells": (-0.02, 0.02)}
    with DerivedNetwork(
        make_network(dt, arguments.neuron),
        weights={**weights, "cells->out": (-0.3, 0.3)},
        learn={name: [] for name in weights},
        seed=arguments.seed,
    ) as net:
        readout = net.connections["cells->out"].weight
        optimizer = torch.optim.Adam([readout], lr=0.02)
        loss, last = ReadoutLoss("mean"), -round(SLOT * second / dt)
        for epoch in range(1, arguments.epochs + 1):
            start, right, fired = time.perf_counter(), 0, 0
            spikes, labels = draw(N_TRAIN, [arguments.seed, epoch], dt)
            for at in range(0, N_TRAIN, BATCH):
                activity = net(spikes.select(at, at + BATCH))
                trace = activity["out"].trace["v"][:, last:]
                optimizer.zero_grad()
                loss(trace, labels[at : at + BATCH]).backward()
                optimizer.step()
                right += (told(trace) == labels[at : at + BATCH]).sum()
                fired += activity["cells"].record.n_spikes
            print(
                f"epoch {epoch}: {100 * right / N_TRAIN:.1f} % right, "
                f"{fired / N_TRAIN:.0f} spikes a sample, "
                f"{time.perf_counter() - start:.1f} s",
                flush=True,
            )
        spikes, labels = draw(N_TEST, [arguments.seed, 0], dt)
        with torch.no_grad():
            activity = net(spikes)
        trace = activity["out"].trace["v"]
        right = 100 * (told(trace[:, last:]) == labels).mean()
        print(f"test: {right:.1f} % right")
    draw_sample(spikes, activity, labels[0])
    plt.show()


def told(trace):
    """Return the bit of the integrator that was higher on average."""
    return trace.detach().mean(1).argmax(1).numpy()


def draw_sample(inputs, activity, bit):
    """Draw inputs, neurons and integrators of the first sample."""
    _, axes = plt.subplots(3, sharex=True, figsize=(7, 6), layout="constrained")
    cells = activity["cells"].record
    for ax, spikes in zip(axes, (inputs, cells), strict=False):
        own = spikes.sample == 0
        ax.plot(spikes.step[own] * spikes.dt, spikes.neuron[own], "k.", markersize=2)
    axes[0].set(ylabel="Input")
    axes[0].set_yticks(GROUP * np.arange(4) + GROUP / 2, ["0", "1", "store", "recall"])
    axes[1].set(ylabel="Neuron")
    trace = activity["out"].trace["v"][0].numpy()
    axes[2].plot(cells.dt * np.arange(len(trace)), trace, label=["0", "1"])
    axes[2].legend(title=f"Integrator; stored: {bit}", loc="lower right")
    axes[2].set(xlabel="Time (s)", ylabel="v")


if __name__ == "__main__":
    main()
