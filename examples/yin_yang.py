"""Yin-Yang with spikes, at the time step of your choice
=====================================================

::

    python examples/yin_yang.py --dt-ms 0.5

A point of the symbol is four spikes, whose times are its coordinates and their
complements, after one at a fixed time. 200 LIF neurons, and three integrators that do
not fire; the one that is highest in the mean tells the region. Points as in Kriener et
al. 2022, doi:10.1145/3517343.3517380: 5,000 to train on (seed 42), 1,000 to choose by
(41) and 1,000 to test with (40). Network as in Wunderlich & Pehle 2021,
doi:10.1038/s41598-021-91786-z, whose event-based gradient reaches 98.1 %. They read out
the maximum: it is 0, without a gradient, for an integrator that has only fallen, and at
steps of 12 ms all three soon do.

What was chosen with `--watch`, on the points of seed 41: the range of the initial
weights, the learning rate and its course, a bound on the length of the gradient, and
the number of epochs.

With ``--neuron qif`` the neurons are quadratic integrate-and-fire ones, whose spikes
appear only late in the trial, not between others (Klos & Memmesheimer 2025,
arXiv:2309.14523); ``--estimator`` says what stands for the derivative of a spike.
"""

import bsnn  # isort: skip  before torch, whose idle threads would spin

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import result_table
import torch
from brian2 import ms

from bsnn.equations import estimators
from bsnn.equations.models import lif, qif
from bsnn.inputs import yin_yang
from bsnn.training import DerivedNetwork, ReadoutLoss

HIDDEN, BATCH, EPOCHS, RATE, LONGEST = 200, 50, 60, 0.008, 0.1
READOUT, SCALE = "mean", 0.03
FIRST, LAST, DURATION = 2.0, 32.0, 60 * ms  # ms: when features spike; of a sample
TAU = {"tau_mem": 20 * ms, "tau_syn": 5 * ms}
INTEGRATOR = bsnn.Neuron(
    """
    dv/dt     = (-v + i_syn)/tau_mem : 1
    di_syn/dt = -i_syn/tau_syn       : 1
    """,
    parameters=TAU,
)


NEURONS = {"lif": lif(**TAU), "qif": qif()}


def make_network(dt, neuron="lif", hidden=HIDDEN):
    """Return five inputs, spiking neurons, and an integrator for each region."""
    return bsnn.Network(
        [
            bsnn.Inputs("in", 5),
            bsnn.Population("hidden", hidden, NEURONS[neuron]),
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
    parser.add_argument("--rate", type=float, default=RATE, help="of learning")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden", type=int, default=HIDDEN, help="neurons")
    parser.add_argument("--neuron", choices=NEURONS, default="lif")
    parser.add_argument(
        "--estimator", choices=estimators.NAMES, default=estimators.STRAIGHT_THROUGH
    )
    parser.add_argument(
        "--watch", action="store_true", help="score points to choose by, not to test"
    )
    parser.add_argument("--out", type=Path, help="CSV file that gets a row, once")
    arguments = parser.parse_args()
    if arguments.watch and arguments.out:
        parser.error("--out keeps tests; leave --watch out.")
    told_by = ["neuron", "hidden", "estimator", "dt_ms", "seed", "epochs", "rate"]
    row = {name: getattr(arguments, name) for name in told_by}
    if result_table.has(arguments.out, row):
        print(f"{row} is in {arguments.out}")
        return
    dt = arguments.dt_ms * ms
    points, labels = yin_yang.sample(5000, seed=42)
    unseen = yin_yang.sample(1000, seed=41 if arguments.watch else 40)
    with DerivedNetwork(
        make_network(dt, arguments.neuron, arguments.hidden),
        weights={"in->hidden": (-2.5, 7.0), "hidden->region": (-0.3, 0.3)},
        seed=arguments.seed,
        estimator=estimators.named(arguments.estimator),
    ) as net:
        seconds = train(net, points, labels, dt, arguments)
        with torch.no_grad():
            activity = net(encode(unseen[0], dt))
    found, fired = told(activity), activity["hidden"].record
    row["accuracy_percent"] = 100 * (found == unseen[1]).mean()
    row["hidden_spikes"] = fired.n_spikes / len(found)
    row["silent_percent"] = 100 * (1 - len(np.unique(fired.neuron)) / arguments.hidden)
    row["seconds_an_epoch"] = seconds
    print(
        f"{'watched' if arguments.watch else 'test'}: {row['accuracy_percent']:.1f} % "
        f"right at {arguments.dt_ms} ms, {row['hidden_spikes']:.0f} spikes"
    )
    if arguments.out:
        result_table.add(arguments.out, [row], told_by)
    draw(unseen[0], found, unseen[1])
    plt.show()


def train(net, points, labels, dt, arguments):
    """Train on all the points; return the median seconds of an epoch."""
    optimizer = torch.optim.Adam(net.parameters(), lr=arguments.rate)
    n_batches = arguments.epochs * (len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_batches)
    loss, rng = ReadoutLoss(READOUT, scale=SCALE), np.random.default_rng(arguments.seed)
    taken = []
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
        taken.append(time.perf_counter() - start)
        if epoch % 10 == 0 or epoch == 1:
            share = 100 * right / len(labels)
            print(f"epoch {epoch}: {share:.2f} % told, {taken[-1]:.1f} s", flush=True)
    return float(np.median(taken))


def told(activity):
    """Return the region of the integrator that is highest in the mean."""
    return activity["region"].trace["v"].detach().mean(1).argmax(1).numpy()


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
