"""Random manifolds, told by the times of 20 spikes: a network for the commands.

    bsnn train randman --model examples/randman_model.py --epochs 40 \\
        --learning-rate 0.01 --learning-rate-factor 0.5 --learning-rate-patience 3

The task is Zenke & Vogels's (2021, doi:10.1162/neco_a_01367) with ten classes, 2-d
manifolds and smoothness 2: each input fires once in 50 ms. 200 neurons, and ten
integrators that tell the class by their mean.
"""

from brian2 import ms

import bsnn
from bsnn.equations.models import lif
from bsnn.training import Surrogate

integrator = bsnn.Neuron(
    """
    dv/dt     = (-v + i_syn)/tau_mem : 1
    di_syn/dt = -i_syn/tau_syn       : 1
    """,
    parameters={"tau_mem": 10 * ms, "tau_syn": 5 * ms},
)


def network(dt):
    """Return the network at a time step."""
    return bsnn.Network(
        [
            bsnn.Inputs("events", 20),
            bsnn.Population("hidden", 200, lif(tau_mem=10 * ms, tau_syn=5 * ms)),
            bsnn.Population("class", 10, integrator, record=["v"]),
        ],
        [
            bsnn.Connection("events", "hidden", on_pre="i_syn += w"),
            bsnn.Connection("hidden", "class", on_pre="i_syn += w"),
        ],
        dt=dt,
        duration=60 * ms,
    )


weights = {"events->hidden": (-4.2, 6.0), "hidden->class": (-0.5, 0.5)}
estimator = Surrogate("triangle")
readout = bsnn.Readout("mean", "class", "v")
