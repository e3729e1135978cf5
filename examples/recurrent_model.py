"""A network of one's own for the commands: recurrent and adaptive.

    bsnn train digits --model examples/recurrent_model.py --dt-ms 1 --learning-rate 0.01
    bsnn sweep digits --model examples/recurrent_model.py --dt-ms 1 2 4 --epochs 5

The file is all that a command needs. It defines `network`, a function of the time step,
and `weights`, the initial ones of each connection: here two numbers between which they
are drawn. It may define `learn`, `bounds` and `constraints`, as `DerivedNetwork` takes
them, a `readout`, such as ``bsnn.Readout("max", "integrators", "v")``, and a function
``loss(activity, labels)``. Unless it does, weights are learned, the label is the neuron
of the last population that fires most, and the loss is that of its count.
"""

from brian2 import ms

import bsnn

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


def network(dt):
    """Return the network at a time step."""
    return bsnn.Network(
        [
            bsnn.Inputs("pixels", 64),
            bsnn.Population("hidden", 80, adaptive),
            bsnn.Population("digit", 10, output),
        ],
        [
            bsnn.Connection("pixels", "hidden", on_pre="i_syn += w"),
            bsnn.Connection("hidden", "hidden", on_pre="i_syn += w", delay=4 * ms),
            bsnn.Connection("hidden", "digit", on_pre="i_syn += w"),
        ],
        dt=dt,
        duration=150 * ms,
    )


weights = {
    "pixels->hidden": (-0.6, 1.0),
    "hidden->hidden": (-0.1, 0.1),
    "hidden->digit": (-0.1, 0.5),
}
learn = {"hidden": ["beta"]}
bounds = {"hidden": {"beta": (0, 1)}}
