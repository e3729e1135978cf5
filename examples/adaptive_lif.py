"""A neuron of one's own, written as equations and trained on digits
=================================================================

::

    python examples/adaptive_lif.py

The hidden neurons are adaptive leaky integrate-and-fire neurons: each spike raises
their threshold a little, so that they fire less and less under a steady drive. They are
not built into bsnn: equations, threshold and reset below are all there is to them. The
forward program and its adjoint are generated from them, and what the adjoint is stands
at the beginning of the output. Time constant and strength of the adaptation are learned
beside the weights, one value for all neurons of the hidden population.

Handwritten digits of 8 x 8 pixels; each pixel that has light spikes once, the brighter
the earlier. The output that fires most often tells the digit. The derivative of a spike
time is one over the slope at the crossing; a neuron that only just reaches its
threshold counts as no slower than 2.5 a second.
"""

import bsnn  # isort: skip  before torch, whose idle threads would spin

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from brian2 import ms

from bsnn.training import DerivedNetwork, SpikeCountLoss

EPOCHS, N_PARTS, BATCH = 30, 6, 20

adaptive = bsnn.Neuron(
    """
    dv/dt     = (-v + i_syn)/tau_mem : 1
    di_syn/dt = -i_syn/tau_syn       : 1
    da/dt     = -a/tau_a             : 1
    """,
    threshold="v > 1 + a",
    reset="v -= 1; a += beta",
    parameters={"tau_mem": 40 * ms, "tau_syn": 20 * ms, "tau_a": 50 * ms, "beta": 0.1},
)
output = bsnn.Neuron(
    """
    dv/dt     = (-v + i_syn)/tau_mem : 1
    di_syn/dt = -i_syn/tau_syn       : 1
    """,
    threshold="v > 1",
    reset="v -= 1",
    parameters={"tau_mem": 40 * ms, "tau_syn": 20 * ms},
)
network = bsnn.Network(
    [
        bsnn.Inputs("pixels", 64),
        bsnn.Population("hidden", 100, adaptive),
        bsnn.Population("digit", 10, output),
    ],
    [
        bsnn.Connection("pixels", "hidden", on_pre="i_syn += w"),
        bsnn.Connection("hidden", "digit", on_pre="i_syn += w"),
    ],
    dt=1 * ms,
    duration=150 * ms,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    arguments = parser.parse_args()
    print(adaptive.adjoint("tau_a", "beta"), end="\n\n")
    digits = bsnn.load_dataset("digits")
    with DerivedNetwork(
        network,
        weights={"pixels->hidden": (-0.6, 1.0), "hidden->digit": (-0.1, 0.5)},
        learn={"hidden": ["tau_a", "beta"]},
        bounds={"hidden": {"tau_a": (5 * ms, 500 * ms), "beta": (0, 1)}},
        slope_min={"hidden": 2.5, "digit": 2.5},
    ) as net:
        course = train(net, digits, arguments.epochs)
        with torch.no_grad():
            activity = net(bsnn.encode_ttfs(digits.test_images[:1], network))
    draw(course, activity["hidden"].record)
    plt.show()


def train(net, digits, epochs):
    """Train on digits, watch every sixth of them, and test once at the end.

    Returns the percentage of the watched ones that are told, for each epoch.
    """
    # From end to end, since writers follow one another.
    out = np.arange(len(digits.train_labels)) % N_PARTS == N_PARTS - 1
    images, labels = digits.train_images[~out], digits.train_labels[~out]
    watched = digits.train_images[out], digits.train_labels[out]
    optimizer = torch.optim.Adam(
        [
            {"params": net.connections.parameters(), "lr": 0.02},
            {"params": net.learned.parameters(), "lr": 0.002},
        ]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    loss = SpikeCountLoss(true=15, false=3)
    shuffle, course = torch.Generator().manual_seed(0), []
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        order = torch.randperm(len(labels), generator=shuffle).numpy()
        for at in range(0, len(labels), BATCH):
            batch = order[at : at + BATCH]
            activity = net(bsnn.encode_ttfs(images[batch], network))
            optimizer.zero_grad()
            loss([activity["hidden"], activity["digit"]], labels[batch]).backward()
            optimizer.step()
        schedule.step()
        seconds = time.perf_counter() - start
        right, spikes = score(net, *watched)
        course.append(right)
        print(
            f"epoch {epoch}: {right:.1f} % of the watched digits, {spikes:.0f} hidden "
            f"spikes a sample, {shown(net)}, {seconds:.1f} s"
        )
    right, spikes = score(net, digits.test_images, digits.test_labels)
    print(f"test: {right:.1f} % right, {spikes:.0f} hidden spikes a sample")
    return course


def score(net, images, labels):
    """Return the percentage of digits that are told, and hidden spikes a sample."""
    with torch.no_grad():
        activity = net(bsnn.encode_ttfs(images, network))
    told = activity["digit"].counts().argmax(1).numpy()
    spikes = activity["hidden"].record.n_spikes / len(labels)
    return 100 * (told == labels).mean(), spikes


def shown(net):
    """Return the learned parameters in a line."""
    tau_a, beta = net.values().values()
    return f"tau_a = {float(tau_a / ms):.1f} ms, beta = {float(beta):.3f}"


def draw(course, spikes):
    """Draw how many digits are told, and what the hidden neurons do for one."""
    _, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    left.plot(range(1, len(course) + 1), course, "o-")
    left.set(xlabel="Epoch", ylabel="Watched digits that are told (%)")
    right.plot(spikes.step * spikes.dt * 1e3, spikes.neuron, "k.", markersize=3)
    right.set(xlabel="Time (ms)", ylabel="Hidden neuron")


if __name__ == "__main__":
    main()
