"""The ready neurons on digits: AdEx, conductances, Izhikevich
===========================================================

::

    python examples/ready_neurons.py adex
    python examples/ready_neurons.py coba
    python examples/ready_neurons.py izhikevich

The hidden neurons are those of `bsnn.equations.models`, in their own units; nothing is
written for any of them: forward program and adjoint come from their texts. COBA neurons
have excitatory and inhibitory conductances, with weights that never become negative. In
the other two a weight may: of AdEx, whose E_e - v hardly changes below threshold, a
negative conductance stands for an inhibitory current.

What was chosen, on every sixth training digit, left out by `--watch`: the range of the
initial weights, time constants of synapses that bridge the 75 ms in which the pixels
spike, the learning rate, the floor of the slope at a crossing, and a bound on the
length of the gradient, which is now and then very long where a neuron hesitates below
its upstroke. AdEx and Izhikevich neurons count as firing where their upstroke has
begun, 1.9 mV above V_T and at -50 mV: from there on it only costs time, and hides from
the floor how slowly the neuron came. COBA neurons start with inhibition that nearly
balances excitation; with little of it all neurons learn the same. An output that learns
in too large steps falls silent, and its digit is lost.
"""

import bsnn  # isort: skip  before torch, whose idle threads would spin

import argparse
import math
import time
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from brian2 import ms, mV, pA

from bsnn.equations.models import adex, coba_lif, izhikevich
from bsnn.training import DerivedNetwork, SpikeCountLoss

EPOCHS, BATCH = 30, 20
N_PARTS = 6  # of the training digits, of which the last is watched


@dataclass
class Case:
    """A hidden neuron, what a pixel's spike does to it, and how it is trained.

    `synapses` has (on_pre, lowest, highest initial weight), `out` the range of the
    output's. `rate` is in parts of the range of a pixel's weights, `out_rate` is the
    output's; `longest` bounds the length of a gradient, and `floor` is the least slope
    of the margin at a crossing, in its unit per second.
    """

    neuron: bsnn.Neuron
    synapses: list
    rate: float
    longest: float
    floor: float
    out: tuple = (-0.3, 0.5)
    out_rate: float = 0.01


CASES = {
    "adex": Case(
        adex(V_cut=-48.5 * mV, b=20 * pA, tau_u=50 * ms, tau_e=20 * ms),
        [("g_e += w*nS", -3, 6)],
        rate=0.01,
        longest=0.03,
        floor=1.0,
    ),
    "coba": Case(
        coba_lif(tau_e=20 * ms, tau_i=20 * ms),
        [("g_e += w*nS", 0, 2), ("g_i += w*nS", 0, 3)],
        rate=0.01,
        longest=0.1,
        floor=0.25,
    ),
    "izhikevich": Case(
        izhikevich(v_peak=-50 * mV, tau_syn=50 * ms),
        [("i_syn += w*mV", -2.1, 3)],
        rate=0.03,
        longest=0.1,
        floor=10.0,
        out=(-0.1, 0.2),
        out_rate=0.003,
    ),
}
OUTPUT = bsnn.Neuron(
    """
    dv/dt     = (-v + i_syn)/tau_mem : 1
    di_syn/dt = -i_syn/tau_syn       : 1
    """,
    threshold="v > 1",
    reset="v -= 1",
    parameters={"tau_mem": 40 * ms, "tau_syn": 20 * ms},
)


def make_network(case):
    """Return 64 pixels, 200 hidden neurons and 10 outputs."""
    return bsnn.Network(
        [
            bsnn.Inputs("pixels", 64),
            bsnn.Population("hidden", 200, case.neuron),
            bsnn.Population("digit", 10, OUTPUT),
        ],
        [
            bsnn.Connection("pixels", "hidden", on_pre=on_pre, name=f"pixels_{k}")
            for k, (on_pre, _, _) in enumerate(case.synapses)
        ]
        + [bsnn.Connection("hidden", "digit", on_pre="i_syn += w", name="out")],
        dt=0.5 * ms,
        duration=150 * ms,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("neuron", choices=CASES, nargs="?", default="adex")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument(
        "--watch",
        action="store_true",
        help="leave out every sixth training digit, and tell those instead of the test",
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    case = CASES[arguments.neuron]
    ranges = {
        f"pixels_{k}": (low, high) for k, (_, low, high) in enumerate(case.synapses)
    }
    with DerivedNetwork(
        make_network(case),
        weights={**ranges, "out": case.out},
        slope_min={"hidden": case.floor, "digit": 2.5},
        seed=arguments.seed,
    ) as net:
        digits = bsnn.load_dataset("digits")
        images, labels = digits.train_images, digits.train_labels
        test = digits.test_images, digits.test_labels
        if arguments.watch:  # from end to end, since writers follow one another
            out = np.arange(len(labels)) % N_PARTS == N_PARTS - 1
            test = images[out], labels[out]
            images, labels = images[~out], labels[~out]
        train(net, case, ranges, images, labels, arguments)
        right, spikes = score(net, *test)
        with torch.no_grad():
            activity = net(bsnn.encode_ttfs(digits.test_images[:3], net.network))
    kind = "watched" if arguments.watch else "test"
    print(f"{kind}: {right:.1f} % right, {spikes:.0f} hidden spikes a sample")
    draw(activity["hidden"].record, digits.test_labels)
    plt.show()


def train(net, case, ranges, images, labels, arguments):
    """Train on all the images."""
    rates = {name: case.rate * (high - low) for name, (low, high) in ranges.items()}
    rates["out"] = case.out_rate
    groups = [
        {"params": list(net.connections[name].parameters()), "lr": rate}
        for name, rate in rates.items()
    ]
    optimizer = torch.optim.Adam(groups)
    n_batches = arguments.epochs * math.ceil(len(labels) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_batches)
    loss = SpikeCountLoss(true=15, false=3)
    shuffle = torch.Generator().manual_seed(arguments.seed)
    for epoch in range(1, arguments.epochs + 1):
        start, right = time.perf_counter(), 0
        order = torch.randperm(len(labels), generator=shuffle).numpy()
        for at in range(0, len(labels), BATCH):
            batch = order[at : at + BATCH]
            activity = net(bsnn.encode_ttfs(images[batch], net.network))
            optimizer.zero_grad()
            loss([activity["hidden"], activity["digit"]], labels[batch]).backward()
            for group in groups:
                torch.nn.utils.clip_grad_norm_(group["params"], case.longest)
            optimizer.step()
            schedule.step()
            keep_signs(net, ranges)
            right += (told(activity) == labels[batch]).sum()
        seconds = time.perf_counter() - start
        print(f"epoch {epoch}: {100 * right / len(labels):.1f} % told, {seconds:.1f} s")


def keep_signs(net, ranges):
    """Let no conductance become negative."""
    with torch.no_grad():
        for name, (low, _) in ranges.items():
            if low == 0:
                net.connections[name].weight.clamp_(min=0)


def score(net, images, labels):
    """Return the percentage of digits that are told, and hidden spikes a sample."""
    with torch.no_grad():
        activity = net(bsnn.encode_ttfs(images, net.network))
    spikes = activity["hidden"].record.n_spikes / len(labels)
    return 100 * (told(activity) == labels).mean(), spikes


def told(activity):
    """Return the digit of the output that fired most often."""
    return activity["digit"].counts().argmax(1).numpy()


def draw(spikes, labels):
    """Draw the spikes of the hidden neurons for three digits."""
    _, axes = plt.subplots(1, 3, sharey=True, figsize=(8, 3), layout="constrained")
    for sample, ax in enumerate(axes):
        own = spikes.sample == sample
        time = 1e3 * spikes.dt * spikes.step[own]
        ax.plot(time, spikes.neuron[own], "k.", markersize=2)
        ax.set(title=f"Digit {labels[sample]}", xlabel="Time (ms)")
    axes[0].set(ylabel="Hidden neuron")


if __name__ == "__main__":
    main()
