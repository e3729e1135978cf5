"""Yin-Yang with spikes, at the time step of your choice
=====================================================

::

    python examples/yin_yang.py --dt-ms 0.5

A point of the symbol is four spikes, whose times are its coordinates and their
complements, after one at a fixed time. 200 LIF neurons, and three integrators that do
not fire; the one that rises highest tells the region. Points as in Kriener et al. 2022,
doi:10.1145/3517343.3517380: 5,000 to train on (seed 42), 1,000 to choose by (41) and
1,000 to test with (40). Network and loss as in Wunderlich & Pehle 2021,
doi:10.1038/s41598-021-91786-z, whose event-based gradient reaches 98.1 %.

What was chosen with `--watch`, on the points of seed 41: the range of the initial
weights, the learning rate and its course, a bound on the length of the gradient, and
the number of epochs.
"""

import bsnn  # isort: skip  before torch, whose idle threads would spin

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from brian2 import ms

from bsnn.equations.models import lif
from bsnn.inputs import yin_yang
from bsnn.training import DerivedNetwork, ReadoutLoss

HIDDEN, BATCH, EPOCHS, RATE, LONGEST = 200, 50, 60, 0.004, 0.1
FIRST, LAST, DURATION = 2.0, 32.0, 60 * ms  # ms: when features spike; of a sample
TAU = {"tau_mem": 20 * ms, "tau_syn": 5 * ms}
INTEGRATOR = bsnn.Neuron(
    """
    dv/dt     = (-v + i_syn)/tau_mem : 1
    di_syn/dt = -i_syn/tau_syn       : 1
    """,
    parameters=TAU,
)


def make_network(dt):
    """Return five inputs, LIF neurons, and an integrator for each region."""
    return bsnn.Network(
        [
            bsnn.Inputs("in", 5),
            bsnn.Population("hidden", HIDDEN, lif(**TAU)),
            bsnn.Population("region", 3, INTEGRATOR, record=["v"]),
        ],
        [
            bsnn.Connection("in", "hidden", on_pre="i_syn += w"),
            bsnn.Connection("hidden", "region", on_pre="i_syn += w"),
        ],
        dt=dt,
        duration=DURATION,
    )


def encode(features, dt):
    """Return the spikes of points: the fifth input is the same for all."""
    features = np.hstack([features, np.zeros((len(features), 1))])
    times = FIRST + (LAST - FIRST) * features
    sample, neuron = np.indices(times.shape)
    return bsnn.Spikes.from_events(
        sample=sample.ravel(),
        neuron=neuron.ravel(),
        step=(times / float(dt / ms)).astype(int).ravel(),
        n_samples=len(times),
        n_neurons=5,
        dt=dt,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dt-ms", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--watch", action="store_true", help="score points to choose by, not to test"
    )
    arguments = parser.parse_args()
    dt = arguments.dt_ms * ms
    points, labels = yin_yang.sample(5000, seed=42)
    unseen = yin_yang.sample(1000, seed=41 if arguments.watch else 40)
    with DerivedNetwork(
        make_network(dt),
        weights={"in->hidden": (-2.5, 7.0), "hidden->region": (-0.3, 0.3)},
        seed=arguments.seed,
    ) as net:
        train(net, points, labels, dt, arguments)
        with torch.no_grad():
            activity = net(encode(unseen[0], dt))
        right = 100 * (told(activity) == unseen[1]).mean()
        spikes = activity["hidden"].record.n_spikes / len(unseen[1])
    kind = "watched" if arguments.watch else "test"
    print(f"{kind}: {right:.1f} % right at {arguments.dt_ms} ms, {spikes:.0f} spikes")
    draw(unseen[0], told(activity), unseen[1])
    plt.show()


def train(net, points, labels, dt, arguments):
    """Train on all the points."""
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    n_batches = arguments.epochs * (len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_batches)
    loss, rng = ReadoutLoss(scale=0.1), np.random.default_rng(arguments.seed)
    for epoch in range(1, arguments.epochs + 1):
        start, right = time.perf_counter(), 0
        order = rng.permutation(len(labels))
        for at in range(0, len(labels), BATCH):
            batch = order[at : at + BATCH]
            activity = net(encode(points[batch], dt))
            optimizer.zero_grad()
            loss(activity["region"].trace["v"], labels[batch]).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), LONGEST)
            optimizer.step()
            schedule.step()
            right += (told(activity) == labels[batch]).sum()
        if epoch % 10 == 0 or epoch == 1:
            share, seconds = 100 * right / len(labels), time.perf_counter() - start
            print(f"epoch {epoch}: {share:.2f} % told, {seconds:.1f} s", flush=True)


def told(activity):
    """Return the region of the integrator that rose highest."""
    return activity["region"].trace["v"].detach().amax(1).argmax(1).numpy()


def draw(points, found, labels):
    """Draw each point in the colour of the region that is told."""
    _, ax = plt.subplots(figsize=(4, 4), layout="constrained")
    x, y = points[:, :2].T
    for region in range(3):
        ax.plot(*points[found == region, :2].T, ".", label=f"region {region}")
    wrong = found != labels
    ax.plot(x[wrong], y[wrong], "o", mfc="none", color="k", label="wrong")
    ax.set(xlabel="x", ylabel="y", aspect="equal")
    ax.legend(loc="upper left", fontsize="small")


if __name__ == "__main__":
    main()
