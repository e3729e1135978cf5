"""Sequences told apart by delays alone: the weights are frozen and all the same
=============================================================================

::

    python examples/learned_delays.py

Five inputs fire once each, 6 ms apart and with jitter, in one of four orders. Each
output integrates all of them with the same weight. What one can learn are the delays of
its synapses, from zero: when each spike waits for the last one of a sequence, they
arrive together, and the potential of that output is the highest. With delays of zero
all outputs are alike.

`--control` learns the weights instead, without delays: an output can then weigh a spike
that comes late above an early one, which tells some of the orders.
"""

import bsnn  # isort: skip  before torch, whose idle threads would spin

import argparse

import matplotlib.pyplot as plt
import numpy as np
import torch
from brian2 import ms

from bsnn.training import DerivedNetwork, ReadoutLoss

N_INPUTS, GAP, JITTER = 5, 6.0, 1.0  # ms
ORDERS = [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3), (1, 3, 0, 4, 2)]
N_TRAIN, N_TEST, EPOCHS, BATCH = 200, 400, 200, 50
RATE = 0.5  # of Adam, in ms of delays

INTEGRATOR = bsnn.Neuron(
    """
    dv/dt     = (-v + i_syn)/tau_mem : 1
    di_syn/dt = -i_syn/tau_syn       : 1
    """,
    parameters={"tau_mem": 5 * ms, "tau_syn": 3 * ms},
)


def make_network(dt, delay):
    """Return inputs and one integrator for each order."""
    return bsnn.Network(
        [
            bsnn.Inputs("in", N_INPUTS),
            bsnn.Population("order", len(ORDERS), INTEGRATOR, record=["v"]),
        ],
        [bsnn.Connection("in", "order", on_pre="i_syn += w", delay=delay)],
        dt=dt,
        duration=70 * ms,
    )


def draw(n_samples, seed, dt):
    """Return spikes of random orders, and which they are."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(ORDERS), size=n_samples)
    places = np.argsort(np.array(ORDERS), axis=1)[labels]
    times = 2 + GAP * places + JITTER * rng.normal(size=places.shape)
    sample, neuron = np.indices(places.shape)
    spikes = bsnn.Spikes.from_events(
        sample=sample.ravel(),
        neuron=neuron.ravel(),
        step=np.maximum(times.ravel() / (dt / ms), 0).astype(int),
        n_samples=n_samples,
        n_neurons=N_INPUTS,
        dt=dt,
    )
    return spikes, labels


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--control", action="store_true", help="learn weights instead")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--dt-ms", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    dt, shape = arguments.dt_ms * ms, (N_INPUTS, len(ORDERS))
    learn = ["w"] if arguments.control else ["delay"]
    with DerivedNetwork(
        make_network(dt, np.zeros(shape) * ms),
        weights={"in->order": np.full(shape, 3.0)},
        learn={("in", "order"): learn},
    ) as net:
        if arguments.control:  # or all would stay alike
            with torch.no_grad():
                net.connections["in->order"].weight.add_(0.1 * torch.randn(shape))
        spikes, labels = draw(N_TRAIN, arguments.seed, dt)
        optimizer = torch.optim.Adam(
            [p for p in net.parameters() if p.requires_grad], lr=RATE
        )
        loss = ReadoutLoss()
        for epoch in range(1, arguments.epochs + 1):
            right = 0
            for at in range(0, N_TRAIN, BATCH):
                trace = net(spikes.select(at, at + BATCH))["order"].trace["v"]
                optimizer.zero_grad()
                loss(trace, labels[at : at + BATCH]).backward()
                optimizer.step()
                right += (told(trace) == labels[at : at + BATCH]).sum()
            if epoch % 20 == 0 or right == N_TRAIN:
                print(f"epoch {epoch}: {100 * right / N_TRAIN:.1f} % told", flush=True)
            if right == N_TRAIN:
                break
        spikes, labels = draw(N_TEST, arguments.seed + 1000, dt)
        trace = net(spikes)["order"].trace["v"]
        print(f"test: {100 * (told(trace) == labels).mean():.1f} % right")
        if not arguments.control:
            print("delays in ms, a row for each input, a column for each order:")
            delay = net.connections["in->order"].delay.detach().numpy()
            print(np.round(delay, 1))
            draw_arrivals(delay)
            plt.show()


def told(trace):
    """Return the order of the output that rose highest."""
    return trace.detach().amax(1).argmax(1).numpy()


def draw_arrivals(delay):
    """Draw when the spikes of each order are sent, and when they arrive."""
    figure, axes = plt.subplots(
        1, len(ORDERS), sharey=True, figsize=(8, 3), layout="constrained"
    )
    for k, (ax, order) in enumerate(zip(axes, ORDERS, strict=True)):
        sent = 2 + GAP * np.argsort(order)
        ax.plot(sent, range(N_INPUTS), "o", color="0.6", label="sent")
        ax.plot(sent + delay[:, k], range(N_INPUTS), "o", color="C0", label="arrives")
        ax.set(title=f"Output {k}, its order", xlabel="Time (ms)")
    axes[0].set(ylabel="Input", yticks=range(N_INPUTS))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center")


if __name__ == "__main__":
    main()
