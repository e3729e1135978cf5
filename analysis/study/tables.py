"""Tables of the runs in a sweep folder, one row a run, epoch, time or evaluation.

Columns are the same everywhere: `source` ("bsnn" or "published"), `dataset`, `rule`,
`dt_ms`, `seed`, then the values. Accuracies and fractions lie in 0..1, spikes are per
sample, and `rule` names the detection, the loss, the initial weights and the least
slope too where they are not the default ("grid + crossing", "grid, targets 8/2",
"grid, penalty 0.01", "grid, mean 0/0/0.1", "grid, slope 5").
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bsnn.datasets import is_name
from bsnn.equations import time_rules
from bsnn.errors import RunFolderError
from bsnn.model import Model
from bsnn.runs import CONFIDENCE, CONFIG, EVALUATIONS, SUMMARY, RunFolder

RUN = ["source", "dataset", "rule", "dt_ms", "seed"]
CELL = ["source", "dataset", "rule", "dt_ms"]
SPIKES = ("hidden_spikes", "output_spikes")

TARGETS = 15.0, 3.0  # spikes asked of the label and of the others, in the study
SLOPE_MIN = 0.1  # Hz

_CONFIG = ("dataset", "rule", "detect", "dt_ms", "seed", "epochs")
_POINT = ("epoch", "accuracy", *SPIKES)
# In these, runs of one cell may differ: they are not settings of the experiment.
_MAY_DIFFER = ("seed", "workers", "device", "backend", "projection", "versions")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What the run folders of a sweep hold.

    Parameters
    ----------
    folder : Path
    runs : DataFrame
        One row a finished run: the columns `RUN`, `run` (its folder's name), `epochs`;
        `epoch`, `accuracy`, `hidden_spikes`, `output_spikes` and `total_spikes` at the
        best and the last epoch, as ``best_...`` and ``last_...``; `silent_fraction`,
        `dead_labels`, ``latency_ms_<level>`` and `first_spike_ms` at the last epoch.
    confidence : DataFrame
        Columns `RUN`, `time_ms`, `confidence`: the last epoch of each run that kept it.
    transfer : DataFrame
        Columns `RUN`, `test_dt_ms`, `accuracy`: runs evaluated at several time steps.
    configs : dict
        Configuration of each run, by its folder's name.
    versions : dict
        Versions each run reports, by its folder's name.
    unfinished : tuple of str
        Run folders without a summary.
    """

    folder: Path
    runs: pd.DataFrame
    confidence: pd.DataFrame
    transfer: pd.DataFrame
    configs: dict
    versions: dict
    unfinished: tuple[str, ...]

    @property
    def dataset(self):
        return self.runs.dataset.iloc[0]


def read_sweep(folder, dataset=None):
    """Read the finished runs of a sweep folder, or one run folder.

    Parameters
    ----------
    folder : path
    dataset : str, optional
        Keep only the runs on this data set; needed where there are several.

    Returns
    -------
    sweep : Sweep

    Raises
    ------
    RunFolderError
        If there is no finished run, a run folder is damaged, runs are on several data
        sets, or two runs of one cell have the same seed or different settings.
    """
    folder = Path(folder)
    configs = {path: _read_config(path) for path in _run_folders(folder)}
    configs = _of_one_dataset(folder, configs, dataset)
    finished = [path for path in configs if RunFolder(path).finished]
    unfinished = tuple(path.name for path in configs if path not in finished)
    if not finished:
        raise RunFolderError(
            f"'{folder}': none of its {len(unfinished)} runs has finished (there is no "
            "summary.json); let the sweep finish, or start it again."
        )
    summaries = {path: RunFolder(path).summary() for path in finished}
    runs = pd.DataFrame([_run_row(p, configs[p], summaries[p]) for p in finished])
    _check_cells(folder, runs, {path.name: configs[path] for path in finished})
    order = [*CELL, "seed"]
    return Sweep(
        folder=folder,
        runs=runs.sort_values(order, ignore_index=True),
        confidence=_concat(
            [_confidence_rows(path, configs[path]) for path in finished],
            [*RUN, "time_ms", "confidence"],
        ),
        transfer=_concat(
            [_transfer_rows(path, configs[path]) for path in finished],
            [*RUN, "test_dt_ms", "accuracy"],
        ),
        configs={path.name: configs[path] for path in finished},
        versions={path.name: summaries[path].get("versions", {}) for path in finished},
        unfinished=unfinished,
    )


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
        As `Sweep.runs`, or `published.runs`.
    at : {"best", "last"}
        The epoch whose accuracy and spikes are taken. "best" chooses it by the test
        accuracy and is therefore a little optimistic.

    Returns
    -------
    cells : DataFrame
        Columns `CELL`; `accuracy`, `hidden_spikes`, `output_spikes`, `total_spikes`,
        each with ``_sd``; `n_seeds`.

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
    return mean_over_seeds(chosen, CELL, values)


def final_confidence(curves):
    """Return the rows of confidence curves at the end of each run's sample."""
    return curves[curves.time_ms == curves.groupby(RUN).time_ms.transform("max")]


def rule_name(config):
    """Return how tables and figures call a run: its rule, and what is no default."""
    name = config["rule"]
    if config["detect"] == "crossing":
        name += " + crossing"
    targets = config.get("true", TARGETS[0]), config.get("false", TARGETS[1])
    if targets != TARGETS:
        name += ", targets {:g}/{:g}".format(*targets)
    if config.get("spike_penalty"):
        name += f", penalty {config['spike_penalty']:g}"
    if any(config.get("initial_mean") or ()):
        name += ", mean " + "/".join(f"{mean:g}" for mean in config["initial_mean"])
    if config.get("slope_min", SLOPE_MIN) != SLOPE_MIN:
        name += f", slope {config['slope_min']:g}"
    return name


def _run_folders(folder):
    if not folder.is_dir():
        raise RunFolderError(f"'{folder}': there is no such folder; check the path.")
    if (folder / CONFIG).exists():
        return [folder]
    found = sorted(path.parent for path in folder.glob(f"[!.]*/{CONFIG}"))
    if not found:
        raise RunFolderError(
            f"'{folder}': it holds no runs (no folder in it has a config.json); give "
            "the folder that 'bsnn sweep' or 'bsnn train' wrote."
        )
    return found


def _read_config(folder):
    config = RunFolder(folder).config()
    missing = [name for name in _CONFIG if name not in config]
    if missing:
        raise _damaged(folder, CONFIG, f"lacks {', '.join(missing)}")
    for name, kind in (("dt_ms", (int, float)), ("seed", int), ("epochs", int)):
        value = config[name]
        if not isinstance(value, kind) or not 0 <= value < 2**63:
            raise _damaged(folder, CONFIG, f"has {name} = {value!r}")
    if not is_name(config["dataset"]):
        raise _damaged(folder, CONFIG, f"has dataset = {config['dataset']!r}")
    for name, known in (("rule", time_rules.RULES), ("detect", time_rules.DETECT)):
        if config[name] not in known:
            raise _damaged(folder, CONFIG, f"has the unknown {name} {config[name]!r}")
    if "model" in config:
        try:
            Model.from_dict(config["model"])
        except ValueError as error:
            raise _damaged(
                folder, CONFIG, f"has an impossible model ({error})"
            ) from error
    return config


def _of_one_dataset(folder, configs, dataset):
    present = sorted({config["dataset"] for config in configs.values()})
    if dataset is None and len(present) > 1:
        raise RunFolderError(
            f"'{folder}': its runs are on several data sets ({', '.join(present)}), "
            "which do not belong into one figure; choose one of them with 'dataset'."
        )
    if dataset is not None and dataset not in present:
        raise RunFolderError(
            f"'{folder}': none of its runs is on {dataset!r}; "
            f"it has {', '.join(present)}."
        )
    return {
        path: config
        for path, config in configs.items()
        if dataset is None or config["dataset"] == dataset
    }


def _run_row(folder, config, summary):
    row = {**_identity(config), "run": folder.name, "epochs": config["epochs"]}
    try:
        for at in ("best", "last"):
            row |= {f"{at}_{name}": float(summary[at][name]) for name in _POINT}
            row[f"{at}_total_spikes"] = sum(row[f"{at}_{name}"] for name in SPIKES)
        for level, latency in summary["latency_ms"].items():
            row[f"latency_ms_{level}"] = np.nan if latency is None else float(latency)
        first = summary.get("first_spike_ms")
        row["first_spike_ms"] = np.nan if first is None else float(first)
        for name in ("silent_fraction", "dead_labels"):
            row[name] = float(summary[name])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _damaged(folder, SUMMARY, f"lacks a value ({error!r})") from error
    return row


def _identity(config):
    return {
        "source": "bsnn",
        "dataset": config["dataset"],
        "rule": rule_name(config),
        "dt_ms": float(config["dt_ms"]),
        "seed": config["seed"],
    }


def _check_cells(folder, runs, configs):
    for _, same in runs.groupby(CELL):
        names = " and ".join(same.run.iloc[:2])
        if same.seed.duplicated().any():
            raise RunFolderError(
                f"'{folder}': two runs are of the same cell and seed, among {names}; "
                "move one of them out of the folder."
            )
        settings = {key for name in same.run for key in configs[name]}
        for setting in sorted(settings.difference(_MAY_DIFFER)):
            values = [configs[name].get(setting) for name in same.run]
            if any(value != values[0] for value in values):
                raise RunFolderError(
                    f"'{folder}': runs of one cell differ in {setting!r}, among "
                    f"{names}; runs with other settings belong into another folder."
                )


def _confidence_rows(folder, config):
    if not (folder / CONFIDENCE).exists():
        return pd.DataFrame()
    columns = ["epoch", "time_ms", "confidence"]
    table = _numbers(folder, CONFIDENCE, RunFolder(folder).confidence(), columns)
    last = table[table.epoch == table.epoch.max()]
    return last[columns[1:]].assign(**_identity(config))


def _transfer_rows(folder, config):
    if not (folder / EVALUATIONS).exists():
        return pd.DataFrame()
    try:
        table = pd.read_csv(folder / EVALUATIONS)
        rule = table["rule"]
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(folder, EVALUATIONS, f"cannot be read ({error})") from error
    table = _numbers(folder, EVALUATIONS, table, ["dt_ms", "accuracy"])
    # The matrix varies the time step alone; continuous time is the limit of all rules.
    same = table[rule.isin((config["rule"], time_rules.CONTINUOUS))]
    rows = same.rename(columns={"dt_ms": "test_dt_ms"})
    return rows.assign(**_identity(config))


def _numbers(folder, name, table, columns):
    try:
        return table[columns].astype(float)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged(folder, name, f"holds no numbers ({error})") from error


def _concat(tables, columns):
    tables = [table for table in tables if len(table)]
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables, ignore_index=True)[columns]


def _damaged(folder, name, what):
    return RunFolderError(
        f"'{folder}': {name} {what}; delete this run folder and run the sweep again, "
        "which repeats only the runs that are missing."
    )
