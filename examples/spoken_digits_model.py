"""Spoken digits for the commands: an ear, and recurrent spikes with learned delays.

    bsnn train spoken-digits --model examples/spoken_digits_model.py --dt-ms 5
    bsnn sweep spoken-digits --model examples/spoken_digits_model.py --dt-ms 5 10

The loudness of 40 mel bands drives a neuron each: the ear, which nothing is learned of.
It tells 256 adaptive neurons, which are joined all to all; what each sends arrives
after a delay of its own, which is learned beside the weights. Ten integrators tell the
label by their mean. A spike exists or does not, and is differentiated by a surrogate.
"""

import numpy as np
from brian2 import ms

import bsnn
from bsnn.equations.models import alif
from bsnn.inputs import codes
from bsnn.training import Surrogate

BANDS, HIDDEN, CLASSES = 40, 256, 10
hearing = bsnn.Neuron(
    "dv/dt = (-v + I_stim(t, i))/(5*ms) : 1",
    threshold="v > 0.25",
    reset="v = 0",
    currents={"I_stim": 1},
)
integrator = bsnn.Neuron(
    """
    dv/dt     = (-v + i_syn)/tau_mem : 1
    di_syn/dt = -i_syn/tau_syn       : 1
    """,
    parameters={"tau_mem": 50 * ms, "tau_syn": 10 * ms},
)


def network(dt):
    """Return the network at a time step."""
    late = np.random.default_rng(0).uniform(0, 60, (HIDDEN, 1)) * ms
    return bsnn.Network(
        [
            bsnn.Population("ear", BANDS, hearing),
            bsnn.Population("hidden", HIDDEN, alif(tau_syn=10 * ms)),
            bsnn.Population("digit", CLASSES, integrator, record=["v"]),
        ],
        [
            bsnn.Connection("ear", "hidden", on_pre="i_syn += w"),
            bsnn.Connection("hidden", "hidden", on_pre="i_syn += w", delay=late),
            bsnn.Connection("hidden", "digit", on_pre="i_syn += w"),
        ],
        dt=dt,
        duration=800 * ms,
    )


weights = {
    "ear->hidden": (-0.5, 0.6),
    "hidden->hidden": (-0.05, 0.05),
    "hidden->digit": (-0.5, 0.5),
}
learn = {"hidden->hidden": ["w", "delay"]}
bounds = {"hidden->hidden": {"delay": (0 * ms, 200 * ms)}}
estimator = Surrogate("triangle", width=1.0)
readout = bsnn.Readout("mean", "digit", "v")


def encode(waves, network):
    """Return loudness as currents; a few recordings are longer than a sample."""
    return codes.named("currents")(waves.series(), network, population="ear", crop=True)
