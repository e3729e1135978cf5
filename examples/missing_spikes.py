"""Wake outputs that are silent: four ways to ask for spikes that do not exist
===========================================================================

::

    python examples/missing_spikes.py --dataset fashion-mnist --seeds 0 1 2

A spike that does not exist has no time, and a loss of counts hands its error to the
spikes of a neuron: where there are none, no gradient asks for one, and the label of an
output that never fires may be lost. Here the weights of the outputs are drawn about a
mean below zero, so that most outputs are silent before training. What wakes them?

- *nothing*: they wake only where the layers below change enough
- *raised weights*: those of the outputs are drawn about a mean above zero instead
- *rate loss*: `RateLoss` holds each output's mean count between 1 and 15
- *missing spikes*: `MissingSpikeLoss` asks for three spikes of each output in each
  sample, as the loss of counts does of outputs that fire
- *triangle*: a surrogate, under which each step has a derivative, spike or not

Outputs that fire for none of the test images are counted before training and after it;
a label is lost if its output is silent then. The accuracy is that of the test images,
after the last epoch; nothing was chosen by it.
"""

import bsnn  # isort: skip  before torch, whose idle threads would spin

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import result_table
import torch
from brian2 import ms

from bsnn.equations.models import cuba
from bsnn.training import (
    DerivedNetwork,
    MissingSpikeLoss,
    RateLoss,
    SpikeCountLoss,
    StraightThrough,
    Surrogate,
)

# Layers, thresholds, batch size and learning rate.
SETTINGS = {
    "digits": ((64, 128, 10), (0.1, 0.2), 20, 0.01),
    "fashion-mnist": ((784, 400, 400, 10), (0.13, 0.45, 0.7), 20, 0.001),
}
TAU = {"tau_mem": 260 * ms, "tau_syn": 130 * ms}
LOW, RAISED = -0.15, 0.1  # means of the weights of the outputs, drawn +-1 about them
TRUE, FALSE = 15, 3  # spikes wanted of outputs
REMEDIES = ("nothing", "raised weights", "rate loss", "missing spikes", "triangle")


def make_network(sizes, thresholds, dt):
    """Return a chain of CUBA LIF neurons whose last potential is recorded."""
    names = ["in", *(f"hidden_{k}" for k in range(1, len(sizes) - 1)), "out"]
    populations = [
        bsnn.Population(
            name,
            size,
            cuba(v_threshold=threshold, **TAU),
            record=["v"] if name == "out" else [],
        )
        for name, size, threshold in zip(names[1:], sizes[1:], thresholds, strict=True)
    ]
    return bsnn.Network(
        [bsnn.Inputs("in", sizes[0]), *populations],
        [
            bsnn.Connection(source, target, on_pre="i_syn += w")
            for source, target in zip(names, names[1:], strict=False)
        ],
        dt=dt,
        duration=200 * ms,
    )


def extra_loss(remedy, threshold):
    """Return what is added to the loss of counts: a function of the outputs."""
    rate = RateLoss(least=1, most=TRUE, scale=threshold)
    missing = MissingSpikeLoss(scale=threshold)
    return {
        "rate loss": lambda out: rate(out, out.trace["v"] - threshold),
        "missing spikes": lambda out: missing(out, out.trace["v"] - threshold, FALSE),
    }.get(remedy, lambda _: 0.0)


def tested(net, images, labels):
    """Return how many outputs fire for no image, and the accuracy (%)."""
    counts = []
    with torch.no_grad():
        for at in range(0, len(labels), 500):
            inputs = bsnn.encode_ttfs(images[at : at + 500], net.network)
            counts.append(net(inputs)["out"].record.counts())
    counts = np.concatenate(counts)
    right = 100 * (counts.argmax(1) == labels).mean()
    return np.count_nonzero(counts.sum(0) == 0), right


def train(dataset, remedy, seed, epochs, n_train, dt):
    """Return what came of one training."""
    sizes, thresholds, batch_size, learning_rate = SETTINGS[dataset]
    data = bsnn.load_dataset(dataset)
    images, labels = data.train_images[:n_train], data.train_labels[:n_train]
    network = make_network(sizes, thresholds, dt)
    mean = RAISED if remedy == "raised weights" else LOW
    ranges = {c.name: (-1.0, 1.0) for c in network.connections}
    ranges[network.connections[-1].name] = mean - 1, mean + 1
    counts = SpikeCountLoss(true=TRUE, false=FALSE)
    extra = extra_loss(remedy, thresholds[-1])
    generator = torch.Generator().manual_seed(seed)
    with DerivedNetwork(
        network,
        weights=ranges,
        seed=seed,
        estimator=Surrogate("triangle") if remedy == "triangle" else StraightThrough(),
    ) as net:
        optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
        before, _ = tested(net, data.test_images, data.test_labels)
        for _ in range(epochs):
            order = torch.randperm(len(labels), generator=generator).numpy()
            for at in range(0, len(order), batch_size):
                batch = order[at : at + batch_size]
                activity = net(bsnn.encode_ttfs(images[batch], network))
                layers = [activity[part.name] for part in network.groups]
                loss = counts(layers, labels[batch]) + extra(activity["out"])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        after, accuracy = tested(net, data.test_images, data.test_labels)
    return {
        "silent_before": before,
        "silent_after": after,
        "accuracy_percent": accuracy,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", choices=SETTINGS, default="digits")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--train", type=int, default=12000, help="training images")
    parser.add_argument("--dt-ms", type=float, default=8.0)
    parser.add_argument("--out", type=Path, help="CSV file that gets rows, once")
    arguments = parser.parse_args()
    rows = []
    for seed in arguments.seeds:
        for remedy in REMEDIES:
            run = {
                "dataset": arguments.dataset,
                "dt_ms": arguments.dt_ms,
                "epochs": arguments.epochs,
                "n_train": arguments.train,
                "remedy": remedy,
                "seed": seed,
            }
            if result_table.has(arguments.out, run):
                continue
            found = train(
                arguments.dataset,
                remedy,
                seed,
                arguments.epochs,
                arguments.train,
                arguments.dt_ms * ms,
            )
            rows.append(run | found)
            before, after, accuracy = found.values()
            print(
                f"seed {seed}, {remedy}: {before} outputs silent before, "
                f"{after} after; {accuracy:.2f} %",
                flush=True,
            )
            if arguments.out:
                result_table.add(arguments.out, rows[-1:], [*run])
    draw(pd.read_csv(arguments.out) if arguments.out else pd.DataFrame(rows))
    plt.show()


def draw(table):
    """Draw means of the seeds: outputs that are silent, and the accuracy."""
    mean = table.groupby("remedy", sort=False).mean(numeric_only=True)[::-1]
    _, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=(8, 2.8), layout="constrained"
    )
    silent = mean[["silent_before", "silent_after"]]
    silent.columns = ["before", "after"]
    silent.plot.barh(ax=left, xlabel="Silent outputs of ten", ylabel="")
    right.barh(mean.index, mean.accuracy_percent, color="0.6")
    right.set(xlabel="Test accuracy (%)", xlim=(0, 100))
    right.bar_label(right.containers[0], fmt="%.1f", padding=3)


if __name__ == "__main__":
    main()
