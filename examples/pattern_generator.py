"""Three sinusoids drawn by a recurrent network, from twenty inputs of noise
=========================================================================

::

    python examples/pattern_generator.py
    python examples/pattern_generator.py --readout-only

Twenty inputs fire at random, the same in every epoch. 256 recurrent LIF neurons turn
that into spikes that differ over a second, and three integrators add them up to a sum
of sinusoids of 1, 2, 3 and 5 Hz each. All weights are learned from the distance of the
potentials to their targets; with `--readout-only` those of the integrators alone, which
comes closer: a spike that appears or vanishes in a recurrent network changes all that
follow, of which a derivative by spike times says nothing.
"""

import bsnn  # isort: skip  before torch, whose idle threads would spin

import argparse

import matplotlib.pyplot as plt
import numpy as np
import torch
from brian2 import ms, second

from bsnn.equations.models import lif
from bsnn.training import DerivedNetwork, TraceLoss

N_INPUTS, N_CELLS, N_OUT, RATE = 20, 256, 3, 40.0  # Hz
FREQUENCIES = (1, 2, 3, 5)  # Hz
EPOCHS, STEP, RECURRENT_STEP = 300, 3e-3, 3e-5  # of Adam
INTEGRATOR = bsnn.Neuron(
    """
    dv/dt     = (-v + i_syn)/tau_mem : 1
    di_syn/dt = -i_syn/tau_syn       : 1
    """,
    parameters={"tau_mem": 30 * ms, "tau_syn": 10 * ms},
)
JOINED = [("in", "cells"), ("cells", "cells"), ("cells", "out")]
WEIGHTS = {
    "in->cells": (-1.5, 2.0),
    "cells->cells": (-0.05, 0.05),
    "cells->out": (-0.02, 0.02),
}


def make_network(dt):
    """Return inputs, recurrent neurons and integrators."""
    cell = lif(tau_mem=20 * ms, tau_syn=10 * ms, refractory=3 * ms)
    return bsnn.Network(
        [
            bsnn.Inputs("in", N_INPUTS),
            bsnn.Population("cells", N_CELLS, cell),
            bsnn.Population("out", N_OUT, INTEGRATOR, record=["v"]),
        ],
        [bsnn.Connection(*ends, on_pre="i_syn += w") for ends in JOINED],
        dt=dt,
        duration=1 * second,
    )


def draw(network, seed):
    """Return the spikes of the inputs, and the targets (1, n_steps, 3)."""
    rng, dt = np.random.default_rng(seed), network.dt_seconds
    spikes = rng.random((1, network.n_steps, N_INPUTS)) < RATE * dt
    shape = (len(FREQUENCIES), 1, N_OUT)
    phase, size = rng.uniform(0, 2 * np.pi, shape), rng.uniform(0.5, 2, shape)
    angle = 2 * np.pi * dt * np.arange(network.n_steps)[:, None]
    waves = size * np.sin(np.reshape(FREQUENCIES, (-1, 1, 1)) * angle + phase)
    target = waves.sum(0)
    return bsnn.Spikes.from_dense(spikes, dt=network.dt), target[None] / target.std()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--readout-only", action="store_true")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--dt-ms", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    network = make_network(arguments.dt_ms * ms)
    spikes, target = draw(network, arguments.seed)
    frozen = JOINED[:2] if arguments.readout_only else []
    with DerivedNetwork(
        network,
        weights=WEIGHTS,
        learn={ends: [] for ends in frozen},
        seed=arguments.seed,
    ) as net:
        learned = [p for p in net.parameters() if p.requires_grad]
        readout = net.connections["cells->out"].weight
        optimizer = torch.optim.Adam(
            {"params": [p], "lr": STEP if p is readout else RECURRENT_STEP}
            for p in learned
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, arguments.epochs
        )
        loss = TraceLoss()
        for epoch in range(1, arguments.epochs + 1):
            activity = net(spikes)
            trace = activity["out"].trace["v"]
            missed = loss(trace, target)
            optimizer.zero_grad()
            missed.backward()
            torch.nn.utils.clip_grad_norm_(learned, 0.1)
            optimizer.step()
            schedule.step()
            if epoch % 50 == 0 or epoch == 1:
                fired = activity["cells"].record.n_spikes
                print(
                    f"epoch {epoch}: {100 * missed.item():.2f} % of the variance is "
                    f"missed, {fired} spikes",
                    flush=True,
                )
    draw_potentials(network, trace.detach().numpy()[0], target[0])
    plt.show()


def draw_potentials(network, trace, target):
    """Draw what the integrators did beside what they should."""
    time = network.dt_seconds * np.arange(network.n_steps)
    _, axes = plt.subplots(N_OUT, sharex=True, figsize=(6, 5), layout="constrained")
    for k, ax in enumerate(axes):
        ax.plot(time, target[:, k], color="0.6", linewidth=3, label="target")
        ax.plot(time, trace[:, k], color="C0", label="potential")
        ax.set_ylabel(f"Integrator {k + 1}")
    axes[0].legend(loc="upper right", ncols=2)
    axes[-1].set_xlabel("Time (s)")


if __name__ == "__main__":
    main()
