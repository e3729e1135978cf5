"""The spikes of one neuron, which ``bsnn one-neuron`` leaves in the folder of a study.

Beside the counts the file names the neuron, so that counts of another one, or at time
steps that the study no longer has, are not taken for its own.
"""

import numpy as np
import pandas as pd

from bsnn.equations import time_rules
from bsnn.files import replacing

from .sweep import NoData

FILE = "one_neuron.csv"
COUNTS = ["rule", "dt_ms", "charge", "spikes"]
N_STEPS = 5  # at most, from the shortest to the longest of the study


def model_and_steps(sweep):
    """Return whose output neuron is asked, and at which time steps.

    Returns
    -------
    model : Model
        Of the first run.
    time_steps_ms : ndarray of float

    Raises
    ------
    NoData
        If the run does not describe its model, or all time is continuous.
    """
    model = sweep.model(sweep.runs.run.iloc[0])
    steps = np.array(sorted(set(sweep.runs.dt_ms) - {0.0}))
    if model is None or not len(steps):
        raise NoData("it needs a time step above 0, and a chain of CUBA LIF neurons")
    chosen = np.unique(np.linspace(0, len(steps) - 1, N_STEPS).round().astype(int))
    return model, steps[chosen]


def save_counts(sweep, table):
    """Save the table of `bsnn.simulators.one_neuron` for `model_and_steps`.

    Returns
    -------
    path : Path
    """
    model, _ = model_and_steps(sweep)
    path = sweep.folder / FILE
    with replacing(path) as file:
        table.assign(**_neuron(model)).to_csv(file, index=False)
    return path


def read_counts(sweep):
    """Return what `save_counts` saved, without the description of the neuron.

    Raises
    ------
    NoData
        If there is none, or not of this neuron at these time steps.
    """
    model, steps = model_and_steps(sweep)
    path = sweep.folder / FILE
    if not path.is_file():
        raise NoData(f"no {FILE} in the folder; make it with 'bsnn one-neuron STUDY'")
    try:
        # As text first: how exact the numbers are depends on the version of pandas.
        table = pd.read_csv(path, dtype=str)
        counts = table[COUNTS].astype({"dt_ms": float, "charge": float, "spikes": int})
        fits = (
            set(counts.rule) == set(time_rules.RULES)
            and set(counts.dt_ms) == {0.0, *steps}
            and np.isfinite(counts.charge).all()
            and all(
                (table[name].astype(float) == value).all()
                for name, value in _neuron(model).items()
            )
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        fits = False
    if not fits:
        raise NoData(
            f"{FILE} is damaged, of another neuron or of other time steps; "
            "make it again with 'bsnn one-neuron STUDY'"
        )
    return counts


def _neuron(model):
    return {**model.neurons[-1].parameters, "duration": model.duration_seconds}
