"""One neuron under each time rule: how many spikes a drive gives.

Its input spikes once for each intensity of a pixel, so evenly over the window of the
time-to-first-spike code. In continuous time each further threshold's worth of input
charge gives one more spike, less what leaks away. A time rule should do the same: a
network can only learn where more weight means more spikes.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from brian2.units import ms

from bsnn.equations import time_rules
from bsnn.equations.models.cuba_lif import solution
from bsnn.inputs.encoding import WHITE, encode_ttfs

from .event import EventSimulator

CHARGES = np.arange(0.0, 60.25, 0.5)  # in thresholds


def count_table(model, time_steps_ms, charges=CHARGES):
    """Return the spikes of one neuron against its drive, for all rules and time steps.

    Parameters
    ----------
    model : Model
        Its duration and the neuron of its output layer are taken.
    time_steps_ms : sequence of float
        Time steps in ms under "grid" and "quantised-event"; "continuous" is added.
    charges : array_like, shape (n_charges,)
        Drives: input charge in thresholds, the sum of all weights times tau_syn over
        v_threshold.

    Returns
    -------
    table : DataFrame
        Columns `rule`, `dt_ms` (0 under "continuous"), `charge`, `spikes`.

    Raises
    ------
    ValueError
        Unless tau_mem = 2 tau_syn, which the event rules need.
    """
    charges = np.asarray(charges, float)
    steps = [dt_ms for dt_ms in time_steps_ms if dt_ms > 0]
    cells = [
        (rule, dt_ms)
        for rule in sorted(time_rules.RULES.values(), key=lambda rule: rule.quantises)
        for dt_ms in (steps if rule.quantises else [0.0])
    ]
    lif = model.neurons[-1]
    layer = {
        "n_inputs": WHITE,
        "layer_sizes": (len(charges),),
        "neurons": (lif,),
        **time_rules.OPTIONS,
    }
    weight = charges * lif.v_threshold / (WHITE * lif.parameters["tau_syn"])
    parts = []
    for rule, dt_ms in cells:
        one = replace(model, rule=rule.name, dt=dt_ms * ms, **layer)
        inputs = encode_ttfs(np.arange(1, WHITE + 1)[None], one)
        count = _count_on_grid if rule.clock_driven else _count_events
        spikes = count(one, weight, inputs)
        part = {"rule": rule.name, "dt_ms": dt_ms, "charge": charges, "spikes": spikes}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def _count_events(model, weight, inputs):
    weights = np.tile(weight, (model.n_inputs, 1))
    with EventSimulator(model, workers=1) as simulator:
        (output,) = simulator.run([weights], inputs)
    return output.counts()[0]


def _count_on_grid(model, weight, inputs):
    # A page of numpy instead of a program to build: the neurons share their input.
    lif, n_steps = model.neurons[-1], model.n_steps
    taus = {name: lif.parameters[name] for name in ("tau_mem", "tau_syn")}
    v, i_syn, spikes = np.zeros((3, len(weight)))
    for n_arriving in np.bincount(inputs.step, minlength=n_steps):
        v, i_syn = solution(model.dt_seconds, v, i_syn, **taus)
        fired = v >= lif.v_threshold
        i_syn, v = i_syn + n_arriving * weight, v - lif.delta_v * fired
        spikes += fired
    return spikes.astype(np.int64)
