"""Published results of the time step study, as tables like those of our own runs.

Source: A. G. Cojocaru, "The effects of the time step size on the accuracy, sparsity and
latency of the SNN", TU Delft 2024; result files of the public repository
alexcojocaru2002/bats-time-discretization (MIT licence). See data/README.md.
"""

from importlib import resources

import numpy as np
import pandas as pd

from .tables import CELL, RUN, SPIKES, cells, final_confidence, mean_over_seeds

# Our name of a data set -> the published one. Results on a selection of EMNIST other
# than the official balanced split cannot be compared one to one: figures say so.
COUNTERPART = {
    "mnist": "mnist",
    "fashion-mnist": "fashion-mnist",
    "emnist": "emnist-balanced",
    "emnist-47class-subset": "emnist-balanced",
}


def epochs():
    """Return every published epoch.

    Returns
    -------
    epochs : DataFrame
        Columns `tables.RUN`, `epoch`, `accuracy`, `loss`, `hidden_spikes`,
        `output_spikes`, `total_spikes`, `dead_fraction` (of the output neurons).
    """
    table = _read("dt_study_epochs.csv")
    table["accuracy"] = table.pop("test_accuracy_percent") / 100
    table["dead_fraction"] = table.pop("silent_output_percent") / 100
    table["total_spikes"] = table[list(SPIKES)].sum(axis=1)
    values = ["epoch", "accuracy", "loss", *SPIKES, "total_spikes", "dead_fraction"]
    return table[[*RUN, *values]]


def runs(dataset=None):
    """Return one row a published run, with the columns that `tables.cells` needs.

    Parameters
    ----------
    dataset : str, optional
        Only the published counterpart of this data set; an empty table if it has none.
    """
    table = _of(epochs(), dataset)
    groups = table.groupby(RUN)
    values = ["epoch", "accuracy", *SPIKES, "total_spikes"]
    parts = [
        table.loc[rows].set_index(RUN)[values].add_prefix(f"{at}_")
        for at, rows in (
            ("best", groups.accuracy.idxmax()),
            ("last", groups.epoch.idxmax()),
        )
    ]
    # With how many images they were tested is not published.
    return pd.concat(parts, axis=1).reset_index().assign(test_samples=np.nan)


def confidence(dataset=None):
    """Return the published prediction confidence at the last epoch.

    Returns
    -------
    confidence : DataFrame
        Columns `tables.RUN`, `time_ms`, `confidence`; nine times a run.
    """
    table = _of(_read("dt_study_confidence.csv"), dataset)
    table = table[table.epoch == table.groupby(RUN).epoch.transform("max")]
    return table.rename(columns={"t_ms": "time_ms"})[[*RUN, "time_ms", "confidence"]]


def summary(dataset=None):
    """Return the published numbers of each data set and time step.

    Returns
    -------
    summary : DataFrame
        Columns `tables.CELL`; `best_accuracy` and `last_accuracy` (fractions) and
        `best_total_spikes` and `last_total_spikes`, each a mean over `n_seeds` with
        ``_sd``; `final_confidence` at the end of the sample, a mean over
        `n_confidence_seeds` with ``_sd``, NaN where unpublished.
    """
    names = ["accuracy", "total_spikes"]
    parts = []
    for at in ("best", "last"):
        columns = [name for value in names for name in (value, f"{value}_sd")]
        table = cells(runs(dataset), at).set_index([*CELL, "n_seeds"])[columns]
        parts.append(table.add_prefix(f"{at}_"))
    accuracy = pd.concat(parts, axis=1).reset_index()
    curves = confidence(dataset)
    final = final_confidence(curves)
    final = mean_over_seeds(final, CELL, ["confidence"]).rename(
        columns={
            "confidence": "final_confidence",
            "confidence_sd": "final_confidence_sd",
            "n_seeds": "n_confidence_seeds",
        }
    )
    return accuracy.merge(final, on=CELL, how="left")


def with_published(sweep):
    """Return the runs of a sweep and, below them, the published ones."""
    return beside(sweep.runs, runs(sweep.comparable))


def beside(ours, theirs):
    """Return our rows and, below them, the published ones, in the columns of both."""
    shared = [column for column in ours if column in theirs]
    parts = [table[shared] for table in (ours, theirs) if len(table)]
    return pd.concat(parts, ignore_index=True)


def citation(dataset):
    """Return where the numbers beside ours on `dataset` come from, in one sentence."""
    text = "Published: A. G. Cojocaru, TU Delft 2024, rule quantised-event, 10 epochs"
    if COUNTERPART[dataset] == "emnist-balanced":
        text += ", official balanced split of EMNIST"
    if dataset == "emnist-47class-subset":
        text += ", which is not the selection used here: not comparable one to one"
    return f"{text}."


def _of(table, dataset):
    if dataset is None:
        return table
    return table[table.dataset == COUNTERPART.get(dataset)]


def _read(name):
    home = resources.files("bsnn.analysis.study")
    with home.joinpath("data", name).open("rb") as file:
        table = pd.read_csv(file).rename(columns={"seed_index": "seed"})
    names = {True: "continuous", False: "quantised-event"}
    return table.assign(source="published", rule=(table.dt_ms == 0).map(names))
