"""The finished runs of a sweep folder, as tables."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bsnn.errors import RunFolderError
from bsnn.model import Model
from bsnn.runs import CONFIG, RunFolder

from .rows import confidence_rows, metrics_rows, read_config, run_row, transfer_rows
from .tables import CELL, RUN

# In these, runs of one cell may differ: they are not settings of the experiment.
_MAY_DIFFER = ("seed", "workers", "device", "backend", "projection", "versions")


class NoData(ValueError):
    """Something that the data of a sweep do not allow; the message says why."""


class Described(NamedTuple):
    """The length of a run's samples, the names of its layers, whether the last fires.

    What is not known is None.
    """

    duration_ms: float | None
    names: list[str] | None = None
    output: bool = True


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
        `dead_labels`, ``latency_ms_<level>``, `first_spike_ms` and `decision_ms` at the
        last epoch. Best and last are one where validation chose the epoch, whose
        `validation_accuracy` is NaN elsewhere. `test_samples`, their number, NaN in
        older runs. `seconds_per_epoch`.
    metrics : DataFrame
        Columns `RUN`, `epoch`, `split` ("train", "validation" or "test"), `accuracy`,
        `loss`: what each epoch of each run measured.
    confidence : DataFrame
        Columns `RUN`, `time_ms`, `confidence`: the last epoch of each run that kept it.
    transfer : DataFrame
        Columns `RUN`, `test_dt_ms`, `accuracy`: runs evaluated at several time steps.
    configs : dict
        Configuration of each run, by its folder's name.
    versions, machines : dict
        Versions and the machine that each run reports, by its folder's name.
    unfinished : tuple of str
        Run folders without a summary.
    load_weights : callable, optional
        Returns the trained weights (list of ndarray, Hz) of a run folder's path, or
        raises RunFolderError.
    """

    folder: Path
    runs: pd.DataFrame
    metrics: pd.DataFrame
    confidence: pd.DataFrame
    transfer: pd.DataFrame
    configs: dict
    versions: dict
    machines: dict
    unfinished: tuple[str, ...]
    load_weights: Callable | None = None

    @property
    def dataset(self):
        return self.runs.dataset.iloc[0]

    @property
    def comparable(self):
        """The data set whose published runs ours stand beside; "" of a part of one."""
        subsets = ("n_train", "n_test")
        cut = any(c.get(name) for c in self.configs.values() for name in subsets)
        return "" if cut else self.dataset

    def path(self, run):
        """Return the folder of a run, by its name."""
        inside = self.folder / run
        return inside if inside.is_dir() else self.folder

    def model(self, run):
        """Return the `Model` of a run, by its name; None if none is described."""
        description = self.configs[run].get("model")
        return None if description is None else Model.from_dict(description)

    def described(self, run):
        """Return what figures need of a run's network, a chain or one of one's own."""
        config, model = self.configs[run], self.model(run)
        if "network" not in config:
            return Described(None if model is None else 1e3 * model.duration_seconds)
        network, output = config["network"], config["readout"]["population"]
        firing = {
            part["name"]: part.get("neuron", {}).get("threshold") is not None
            for part in network["populations"]
            if "neuron" in part
        }
        hidden = [name for name, fires in firing.items() if fires and name != output]
        entering = [p["name"] for p in network["populations"] if "neuron" not in p]
        names = [*entering, *hidden, *([output] if firing[output] else [])]
        return Described(1e3 * network["duration"], names, firing[output])


def read_sweep(folder, dataset=None, load_weights=None):
    """Read the finished runs of a sweep folder, or one run folder.

    Parameters
    ----------
    folder : path
    dataset : str, optional
        Keep only the runs on this data set; needed where there are several.
    load_weights : callable, optional
        As for `Sweep`: only a training knows how to read its checkpoints.

    Returns
    -------
    sweep : Sweep

    Raises
    ------
    RunFolderError
        If there is no finished run, a run folder is damaged, runs are on several data
        sets or have several presets, or two runs of one cell have the same seed or
        different settings.
    """
    folder = Path(folder)
    configs = {path: read_config(path) for path in _run_folders(folder)}
    configs = _of_one_dataset(folder, configs, dataset)
    presets = sorted({config["preset"] for config in configs.values()})
    if len(presets) > 1:
        raise RunFolderError(
            f"'{folder}': its runs have several presets ({', '.join(presets)}), which "
            "tables and figures do not name; move those of one into another folder."
        )
    finished = [path for path in configs if RunFolder(path).finished]
    unfinished = tuple(path.name for path in configs if path not in finished)
    if not finished:
        raise RunFolderError(
            f"'{folder}': none of its {len(unfinished)} runs has finished (there is no "
            "summary.json); let the sweep finish, or start it again."
        )
    summaries = {path: RunFolder(path).summary() for path in finished}
    runs = pd.DataFrame([run_row(p, configs[p], summaries[p]) for p in finished])
    _check_cells(folder, runs, {path.name: configs[path] for path in finished})
    order = [*CELL, "seed"]
    return Sweep(
        folder=folder,
        runs=runs.sort_values(order, ignore_index=True),
        metrics=_concat(
            [metrics_rows(path, configs[path]) for path in finished],
            [*RUN, "epoch", "split", "accuracy", "loss"],
        ),
        confidence=_concat(
            [confidence_rows(path, configs[path]) for path in finished],
            [*RUN, "time_ms", "confidence"],
        ),
        transfer=_concat(
            [transfer_rows(path, configs[path]) for path in finished],
            [*RUN, "test_dt_ms", "accuracy"],
        ),
        configs={path.name: configs[path] for path in finished},
        versions={p.name: _told(summaries[p], "versions") for p in finished},
        machines={p.name: _told(summaries[p], "machine") for p in finished},
        unfinished=unfinished,
        load_weights=load_weights,
    )


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


def _told(summary, name):
    found = summary.get(name)
    return found if isinstance(found, dict) else {}


def _concat(tables, columns):
    tables = [table for table in tables if len(table)]
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables, ignore_index=True)[columns]
