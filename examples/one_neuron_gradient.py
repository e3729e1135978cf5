"""Where the gradient of a spike goes wrong: one neuron and one weight
===================================================================

::

    python examples/one_neuron_gradient.py --dt-ms 8

A CUBA LIF neuron receives a spike from each of nine inputs, all of one weight w. In
continuous time its first spike comes the earlier the larger w is, and smoothly so,
while the number of its spikes rises in jumps; on a time grid both jump. Four causes of
error, each in a panel:

**Rounding of delivery** (first). On the grid the first spike is delivered at the end of
its bin, so its time T(w) is a staircase, whose derivative is 0 or none.
Straight-through takes that of the crossing inside the bin: the staircase follows the
smooth curve, late by half a bin and by what arrived late itself.

**Flat crossings** (second). Where the neuron just reaches threshold, the exact dT/dw
grows without bound: right, and of no use in descent. A floor of the slope bounds it;
the larger it is, the more spikes count less than they should.

**Spikes that appear** (third). The number of spikes has no derivative, but smoothed
over weights it has one. A loss of counts hands its error to the spikes that exist: the
sign is right, but where there is no spike yet it is 0, so that a silent neuron stays
silent. A surrogate asks each step in which the neuron is near threshold: it is above 0
before the first spike appears. Curves are scaled to the mean of the smoothed one; how
large an estimator is matters little under Adam, which of its values are larger does.

**Late rewards** (fourth). The cell drives an integrator, and what counts is its mean
over the sample. What a spike adds to it comes long after the spike, and is the same
whenever it comes, but for what the end of the sample cuts off: that it exists matters,
its time does not. So straight-through has next to no gradient, though the mean rises
with w.
"""

import bsnn  # isort: skip  before torch, whose idle threads would spin

import argparse

import matplotlib.pyplot as plt
import numpy as np
import torch
from brian2 import ms
from scipy.ndimage import gaussian_filter1d

from bsnn.equations.models.cuba import cuba
from bsnn.training import DerivedNetwork, StraightThrough, Surrogate

TIMES = np.arange(5, 50, 5) * ms
WEIGHTS = np.linspace(0.5, 4.5, 201)  # Hz
FINE = 0.05 * ms  # stands for continuous time
FLOOR = 6 * 0.2 / 0.04  # the usual one: six times the leak at threshold, in Hz
SPREAD = 0.15  # Hz, of the weights over which the slope of the number is averaged
INTEGRATOR = bsnn.Neuron("dv/dt = (-v + x)/(20*ms) : 1\n dx/dt = -x/(10*ms) : 1")


def make_network(dt, estimator, slope_min=None):
    network = bsnn.Network(
        [
            bsnn.Inputs("inputs", len(TIMES)),
            bsnn.Population(
                "cell", 1, cuba(v_threshold=0.2, tau_mem=40 * ms, tau_syn=20 * ms)
            ),
            bsnn.Population("out", 1, INTEGRATOR, record=["v"]),
        ],
        [
            bsnn.Connection("inputs", "cell", on_pre="i_syn += w"),
            bsnn.Connection("cell", "out", on_pre="x += w"),
        ],
        dt=dt,
        duration=160 * ms,
    )
    options = {} if slope_min is None else {"slope_min": {"cell": slope_min}}
    return DerivedNetwork(
        network,
        weights={"inputs->cell": np.ones((len(TIMES), 1)), "cell->out": [[1.0]]},
        precision="double",
        estimator=estimator,
        workers=1,
        **options,
    )


def each_weight(dt, estimator, value, slope_min=None):
    """Return a value of the activity, and its derivative, for each weight."""
    with make_network(dt, estimator, slope_min) as net:
        spikes = bsnn.Spikes.from_events(
            sample=np.zeros(len(TIMES), int),
            neuron=np.arange(len(TIMES)),
            time=TIMES,
            n_samples=1,
            n_neurons=len(TIMES),
            dt=dt,
        )
        weight, found = net.connections["inputs->cell"].weight, []
        for w in WEIGHTS:
            with torch.no_grad():
                weight.fill_(w)
            net.zero_grad()
            asked = value(net(spikes))
            if asked is None:
                found.append((np.nan, np.nan))
                continue
            asked.backward()
            found.append((asked.item(), weight.grad.sum().item()))
    return np.array(found).T


def first(activity):
    """Time of the first spike, in seconds; None without one."""
    time = activity["cell"].time
    return time[0] if len(time) else None


def earlier(activity):
    """Minus the sum of spike times: what a loss asks for that wants more spikes."""
    return -activity["cell"].time.sum()


def number(activity):
    """How many spikes there are, where a surrogate differentiates them."""
    return activity["cell"].raster.sum()


def reward(activity):
    """Mean of the integrator over the sample."""
    return activity["out"].trace["v"].mean()


def smoothed_slope(values):
    """Return the derivative by the weights of values averaged over near weights."""
    width = SPREAD / (WEIGHTS[1] - WEIGHTS[0])
    return gaussian_filter1d(np.gradient(values, WEIGHTS), width)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dt-ms", type=float, default=8.0)
    dt = parser.parse_args().dt_ms * ms
    _, (left, middle, right, last) = plt.subplots(
        1, 4, figsize=(12.5, 3.4), layout="constrained"
    )
    exact, slope = each_weight(FINE, StraightThrough(), first, 1e-3)
    on_grid, straight = each_weight(dt, StraightThrough(), first, 1e-3)
    _, floored = each_weight(dt, StraightThrough(), first, FLOOR)
    left.plot(WEIGHTS, 1e3 * exact, label="continuous")
    left.plot(WEIGHTS, 1e3 * on_grid, label=f"grid, {dt / ms:g} ms")
    left.set(xlabel="Weight (Hz)", ylabel="Time of the first spike (ms)")
    for values, label in (
        (slope, "continuous, exact"),
        (straight, "straight-through"),
        (floored, "straight-through, floor"),
    ):
        middle.plot(WEIGHTS, -1e3 * values, label=label)
    middle.set(xlabel="Weight (Hz)", ylabel="-dT/dw (ms/Hz)", yscale="log")

    counts, triangle = each_weight(dt, Surrogate("triangle"), number)
    _, sigmoid = each_weight(dt, Surrogate("fast-sigmoid"), number)
    _, handed = each_weight(dt, StraightThrough(), earlier, FLOOR)
    smoothed = smoothed_slope(counts)
    right.plot(WEIGHTS, smoothed, color="0.6", linewidth=3, label="smoothed slope")
    for values, label in (
        (handed, "straight-through"),
        (triangle, "triangle"),
        (sigmoid, "fast sigmoid"),
    ):
        right.plot(WEIGHTS, values * smoothed.mean() / values.mean(), label=label)
    appears = WEIGHTS[np.argmax(counts > 0)]
    right.axvline(appears, color="0.8", linewidth=0.8, zorder=0)
    right.set(xlabel="Weight (Hz)", ylabel="d(number of spikes)/dw, scaled")

    value, by_times = each_weight(dt, StraightThrough(), reward, FLOOR)
    _, by_triangle = each_weight(dt, Surrogate("triangle"), reward)
    rises = smoothed_slope(value)
    last.plot(WEIGHTS, rises, color="0.6", linewidth=3, label="smoothed slope")
    last.plot(WEIGHTS, by_times, label="straight-through")
    last.plot(WEIGHTS, by_triangle, label="triangle")
    last.set(xlabel="Weight (Hz)", ylabel="d(mean of the integrator)/dw")
    for ax in (left, middle, right, last):
        ax.legend(fontsize=8, frameon=False)
    late = 1e3 * np.nanmean(on_grid - exact)
    print(f"the first spike comes {late:.1f} ms late in the mean, at {dt / ms:g} ms")
    seen = ~np.isnan(straight)
    off = np.median(np.abs(straight / slope - 1)[seen & ~np.isnan(slope)])
    print(f"straight-through is {100 * off:.0f} % from the exact dT/dw in the median")
    silent = counts == 0
    print(
        f"below {appears:.2f} Hz the cell is silent: straight-through is 0 there, "
        f"triangle at most {triangle[silent].max():.2g}, fast sigmoid "
        f"{sigmoid[silent].max():.2g} spikes per Hz"
    )
    told = by_times.mean() / rises.mean()
    print(
        f"of the slope of the integrator's mean straight-through has {100 * told:.0f} %"
    )
    plt.show()


if __name__ == "__main__":
    main()
