"""The run and the sample that a reader looks at first."""

import numpy as np

from bsnn.analysis.study.series import PLAIN
from bsnn.analysis.study.sweep import NoData
from bsnn.analysis.traces import reset_times
from bsnn.errors import RunFolderError
from bsnn.runs import SPIKES, RunFolder


def example(sweep):
    """Return a row of `sweep.runs`, the spikes of one test sample and its label.

    Returns
    -------
    run : named tuple
        Of the first series if possible, with a time step near 1 ms.
    layers : list of Spikes
        Of the input and every layer.
    label : int
    """
    runs = sweep.runs.assign(
        another=sweep.runs.rule != PLAIN[0],
        distance=abs(np.log(sweep.runs.dt_ms.clip(lower=1e-3))),
    ).sort_values(["another", "distance", "seed"])
    for run in runs.itertuples():
        folder = sweep.path(run.run)
        if (folder / SPIKES).is_file():
            layers, labels = RunFolder(folder).spikes()
            _check_fit(sweep.model(run.run), layers, labels, run.run)
            return run, [layer.select(0, 1) for layer in layers], int(labels[0])
    raise NoData("no run has a spikes.npz")


def example_title(sweep, run, label):
    """Return the title of a figure of such a sample."""
    step = "continuous time" if run.dt_ms == 0 else f"time step {run.dt_ms:g} ms"
    rule = "" if run.dt_ms == 0 else f"{run.rule}, "
    return f"{sweep.dataset}, {rule}{step}, test sample 0 (label {label})"


def _check_fit(model, layers, labels, name):
    sizes = [layer.n_neurons for layer in layers]
    fits = 0 <= labels[0] < sizes[-1]
    if fits and model is not None:
        fits = sizes == [model.n_inputs, *model.layer_sizes] and all(
            reset_times(layer, model) is not None for layer in layers[1:]
        )
    if not fits:
        raise RunFolderError(
            f"the {SPIKES} of {name} is not that of its model; delete this run "
            "folder and run it again."
        )
