"""Means and standard deviations of a table with one row a seed.

Columns are the same in every table: `source` ("bsnn" or "published"), `dataset`,
`rule`, `dt_ms`, `seed`, then the values. Accuracies and fractions lie in 0..1, spikes
are per sample, and `rule` is what `series.rule_name` calls the run.
"""

import pandas as pd

RUN = ["source", "dataset", "rule", "dt_ms", "seed"]
CELL = ["source", "dataset", "rule", "dt_ms"]
SPIKES = ("hidden_spikes", "output_spikes")


def mean_over_seeds(table, by, values):
    """Return mean and standard deviation of `values` over the seeds of each group.

    The standard deviation is the interval of every figure and table. A 95 % interval of
    the mean would span nine of them for two seeds; with n beside it, anyone can
    compute that.

    Parameters
    ----------
    table : DataFrame
        With a column `seed` and one row a seed in each group.
    by, values : list of str
        Columns.

    Returns
    -------
    table : DataFrame
        Columns `by`; for each value its mean and ``<value>_sd`` (ddof 1, NaN for one
        seed); `n_seeds`. A value that is NaN for any seed has the mean NaN: a latency
        that one seed never reached has no mean.
    """
    groups = table.groupby(by, sort=True, dropna=False)
    means = groups[values].mean(skipna=False)
    deviations = groups[values].std(ddof=1, skipna=False).add_suffix("_sd")
    n_seeds = groups["seed"].nunique().rename("n_seeds")
    columns = [name for value in values for name in (value, f"{value}_sd")]
    joined = pd.concat([means, deviations], axis=1)[columns]
    return pd.concat([joined, n_seeds], axis=1).reset_index()


def cells(runs, at="last"):
    """Return mean and standard deviation over the seeds of each cell.

    Parameters
    ----------
    runs : DataFrame
        As `sweep.Sweep.runs`, or `published.runs`.
    at : {"best", "last"}
        The epoch whose accuracy and spikes are taken. "best" chooses it by the test
        accuracy and is therefore a little optimistic.

    Returns
    -------
    cells : DataFrame
        Columns `CELL`; `accuracy`, `hidden_spikes`, `output_spikes`, `total_spikes`,
        each with ``_sd``; `n_seeds`; `test_samples`, NaN where a run does not say.

    Raises
    ------
    ValueError
        If `at` is neither.
    """
    if at not in ("best", "last"):
        raise ValueError(f"'at' must be 'best' or 'last', got {at!r}.")
    values = ["accuracy", *SPIKES, "total_spikes"]
    chosen = runs[[*RUN, *(f"{at}_{value}" for value in values)]]
    chosen = chosen.rename(columns={f"{at}_{value}": value for value in values})
    table = mean_over_seeds(chosen, CELL, values)
    n_samples = runs.groupby(CELL, sort=True, dropna=False).test_samples.min()
    return table.assign(test_samples=n_samples.to_numpy())


def validated(runs):
    """Return whether validation chose the epoch that was tested, in all runs."""
    return "validation_accuracy" in runs and runs.validation_accuracy.notna().all()


def final_confidence(curves):
    """Return the rows of confidence curves at the end of each run's sample."""
    return curves[curves.time_ms == curves.groupby(RUN).time_ms.transform("max")]
