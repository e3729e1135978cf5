"""A Brian2 script that learns: which inhibition makes all cells fire alike?
=========================================================================

::

    python examples/from_brian2.py

Pyramidal cells are driven by the same afferents, some of them ten times as strongly as
others. So a few fire all the time and most are silent. Basket cells inhibit them.
Inhibitory synapses could even out the rates by plasticity, as Vogels et al. 2011 found
(doi:10.1126/science.1211095); here they are trained by gradients, and asked whether
inhibition comes to match the excitation of each cell.

Up to ``Network.from_brian2`` it is a Brian2 script like any other. What follows trains
the inhibitory weights, on new Poisson spikes in each step, puts them back into the
script's own ``Synapses`` and runs the script in Brian2 again, for longer.

Before, 60 % of the cells are silent, and two fire at 150 Hz. Afterwards the middle 80 %
fire at 4.0 to 7.6 Hz, where 4 to 8 Hz were asked for; silent are only the 5 % that too
little excites even without inhibition. The sums of a cell's inhibitory and excitatory
weights, unrelated before, correlate by 0.99.
"""

import bsnn  # isort: skip  before torch, whose idle threads would spin

import argparse

import brian2 as b2
import matplotlib.pyplot as plt
import numpy as np
import torch
from brian2 import Hz, ms, mV, second

from bsnn.training import Dale, DerivedNetwork, RateLoss

# The script.

b2.prefs.codegen.target = "numpy"
b2.defaultclock.dt = 0.25 * ms
b2.seed(1)

tau_m, tau_e, tau_i = 20 * ms, 5 * ms, 10 * ms
E_rest, E_exc, E_inh, V_t = -70 * mV, 0 * mV, -80 * mV, -50 * mV
equations = """
dv/dt   = (E_rest - v + g_e*(E_exc - v) + g_i*(E_inh - v))/tau_m : volt
dg_e/dt = -g_e/tau_e : 1
dg_i/dt = -g_i/tau_i : 1
"""
neurons = {
    "model": equations,
    "threshold": "v > V_t",
    "reset": "v = E_rest",
    "refractory": 3 * ms,
    "method": "exponential_euler",
}
afferents = b2.PoissonGroup(200, 10 * Hz, name="afferents")
pyramidal = b2.NeuronGroup(80, **neurons, name="pyramidal")
basket = b2.NeuronGroup(20, **neurons, name="basket")
pyramidal.v = basket.v = E_rest

drive = b2.Synapses(afferents, pyramidal, "w : 1", on_pre="g_e += w", name="drive")
drive.connect(p=0.3)
drive.w = 0.2 * np.random.default_rng(1).lognormal(0, 0.6, 80)[drive.j]
relay = b2.Synapses(afferents, basket, on_pre="g_e += 0.25", name="relay")
relay.connect(p=0.3)
inhibition = b2.Synapses(
    basket, pyramidal, "w : 1", on_pre="g_i += w", delay=1 * ms, name="inhibition"
)
inhibition.connect()
inhibition.w = 0.1

spikes = b2.SpikeMonitor(pyramidal, name="spikes")
potential = b2.StateMonitor(pyramidal, "v", record=True, name="potential")
script = b2.Network(b2.collect())

# What makes it learn.

DURATION, N_SAMPLES, N_STEPS = 500 * ms, 8, 200
LEAST, MOST, TEST = 4 * Hz, 8 * Hz, 5 * second

taken = bsnn.Network.from_brian2(script, duration=DURATION)


def train(n_steps):
    """Train the inhibitory weights, which keep their sign; others stay as they are."""
    bounds = {"least": float(LEAST * DURATION), "most": float(MOST * DURATION)}
    loss = RateLoss(**bounds, scale=V_t - E_rest)
    with DerivedNetwork(
        taken.network,
        weights=taken.weights,
        learn={"drive": [], "relay": []},
        constraints={"inhibition": Dale(1)},
    ) as net:
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.985)
        for step in range(n_steps):
            activity = net(taken.inputs(N_SAMPLES, seed=step))["pyramidal"]
            value = loss(activity, activity.trace["v"] - float(V_t))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            if step % 20 == 19:
                print(f"step {step + 1}: loss {value:.1f}")
        taken.put_back(net)


def rates():
    """Run the script in Brian2 and return each pyramidal cell's rate in Hz."""
    script.store()
    script.run(TEST)
    found = np.asarray(spikes.count) / float(TEST)
    script.restore()
    return found


def inputs_of_cells(synapses):
    """Return the sum of the weights onto each pyramidal cell."""
    return np.bincount(synapses.j, synapses.w, len(pyramidal))


def told(when, found):
    low, middle, high = np.percentile(found, [10, 50, 90])
    print(
        f"{when}: {middle:.1f} Hz, 80 % of the cells between {low:.1f} and {high:.1f} "
        f"Hz, {np.mean(found == 0):.0%} silent; correlation of inhibition with "
        f"excitation {balance():.2f}"
    )


def balance():
    pair = [inputs_of_cells(drive), inputs_of_cells(inhibition)]
    return np.corrcoef(pair)[0, 1] if np.ptp(pair[1]) > 1e-9 else 0.0


def draw(before, after):
    """Draw the rates of all cells, and the inhibition that was found."""
    _, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    order = np.argsort(inputs_of_cells(drive))
    left.plot(before[order], ".", color="#999999", label="script")
    left.plot(after[order], ".", color="#0072b2", label="trained")
    left.axhspan(float(LEAST), float(MOST), color="#0072b2", alpha=0.2, label="wanted")
    left.set(xlabel="Cell, by its excitation", ylabel="Rate in Brian2 (Hz)")
    left.legend(frameon=False)
    right.plot(
        inputs_of_cells(drive), inputs_of_cells(inhibition), ".", color="#0072b2"
    )
    right.set(xlabel="Sum of excitatory weights", ylabel="Sum of inhibitory weights")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=N_STEPS)
    arguments = parser.parse_args()
    before = rates()
    told("script", before)
    train(arguments.steps)
    after = rates()
    told("trained", after)
    draw(before, after)
    plt.show()


if __name__ == "__main__":
    main()
