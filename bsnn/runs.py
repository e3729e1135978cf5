"""Run folders: what a training leaves behind, complete or not at all, file by file."""

import json
import warnings
from pathlib import Path

import pandas as pd

from bsnn.interchange.npz import load_spikes

from .errors import RunFolderError
from .files import locked, replacing, unwritable
from .presets import with_preset

CONFIG, SUMMARY, METRICS = "config.json", "summary.json", "metrics.csv"
CONFIDENCE, SPIKES, CHECKPOINT = "confidence.csv", "spikes.npz", "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
LOCK = ".lock"
FILES = (CONFIG, SUMMARY, METRICS, CONFIDENCE, SPIKES, CHECKPOINT, PREVIOUS)
METRICS_COLUMNS = (
    "epoch",
    "split",
    "accuracy",
    "loss",
    "hidden_spikes",
    "output_spikes",
    "silent_fraction",
    "dead_labels",
    "silent_layers",
    "seconds",
)
CONFIDENCE_COLUMNS = ("epoch", "time_ms", "confidence")
EVALUATIONS = "evaluations.csv"
EVALUATION_COLUMNS = (
    "rule",
    "dt_ms",
    "accuracy",
    "hidden_spikes",
    "output_spikes",
    "silent_fraction",
    "dead_labels",
)


class RunFolder:
    """The files of one training run.

    Parameters
    ----------
    path : path_like
    """

    def __init__(self, path):
        self.path = Path(path)

    def check_free(self, config, *, resume=False, more_epochs=True):
        """Refuse a path where a new run would overwrite or mix with something.

        Parameters
        ----------
        config : dict
            Of the new run.
        resume : bool
            Whether it may go on with the run there.
        more_epochs : bool
            Whether it may do so for more epochs than that run has.

        Raises
        ------
        RunFolderError
            If the path is a file, holds anything but a run to resume, or holds a run of
            another configuration.
        """
        path = self.path
        if path.exists() and not path.is_dir():
            raise RunFolderError(f"'out' must name a folder, {path} is a file.")
        if not path.is_dir() or set(path.iterdir()) <= self._harmless():
            return
        if not (path / CONFIG).is_file():
            raise RunFolderError(
                f"'out' must be a new or empty folder, {path} holds other files; "
                "choose another name."
            )
        if not resume:
            raise RunFolderError(
                f"'out' must be a new or empty folder, {path} holds another run; "
                "choose another name, or go on with that run with --resume."
            )
        different = self._differences(config, more_epochs)
        if different:
            raise RunFolderError(
                f"{path} holds a run of another configuration ({different}); go on "
                "with it under its own settings, or choose another folder."
            )

    def locked(self):
        """Make the folder and keep other trainings out of it; it ends with the process.

        Raises
        ------
        RunFolderError
            If another process trains in it, or it cannot be made.
        """
        return locked(self.path, LOCK, what="training")

    def create(self, config):
        """Make the folder, unless it is there, and write its configuration.

        Temporary files go: whoever wrote them was killed. Where a run goes on for more
        epochs, what says that it has finished goes first.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for path in self._leftovers():
                path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self.path, error) from error
        if self.finished and self._differences(config):
            self.remove(SUMMARY)
        self.write_json(CONFIG, config)

    def remove(self, name):
        """Remove a file, if it is there."""
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self.path / name, error) from error

    def _leftovers(self):
        return [path for name in FILES for path in self.path.glob(f".{name}.*")]

    def _harmless(self):
        return {*self._leftovers(), self.path / LOCK}

    def _differences(self, config, more_epochs=False):
        there, asked = self.config(), with_preset(json.loads(json.dumps(config)))
        if more_epochs and _is_less(there.get("epochs"), asked.get("epochs")):
            there["epochs"] = asked["epochs"]
        if None in (asked.get("code"), there.get("code")):  # the data set's own
            asked["code"] = there.get("code")
        names = sorted(
            (there.keys() | asked.keys()) - {"workers"}
        )  # it changes nothing
        names = [name for name in names if there.get(name) != asked.get(name)]
        return ", ".join(
            name
            if name == "model"
            else f"{name} {there.get(name)}, not {asked.get(name)}"
            for name in names
        )

    def config(self):
        """Return what `create` was given."""
        return with_preset(self._read_json(CONFIG))

    def summary(self):
        """Return the summary of a finished run."""
        return self._read_json(SUMMARY)

    @property
    def finished(self):
        return (self.path / SUMMARY).is_file()

    def metrics(self):
        """Return metrics.csv as a DataFrame, one row an epoch and split."""
        return self._read_table(METRICS, METRICS_COLUMNS)

    def confidence(self):
        """Return confidence.csv as a DataFrame: epoch, time_ms, confidence."""
        return self._read_table(CONFIDENCE, CONFIDENCE_COLUMNS)

    def spikes(self):
        """Return the recorded test slice: list of `Spikes`, input first, and labels."""
        return load_spikes(self.path / SPIKES)

    def add_evaluations(self, rows):
        """Add rows to evaluations.csv; a new one replaces its rule and dt_ms."""
        table = pd.DataFrame(rows, columns=list(EVALUATION_COLUMNS))
        if (self.path / EVALUATIONS).is_file():
            before = self._read_table(EVALUATIONS, EVALUATION_COLUMNS)
            table = pd.concat([before, table])
        table = table.drop_duplicates(["rule", "dt_ms"], keep="last")
        self.write_table(EVALUATIONS, table, EVALUATION_COLUMNS)

    def write_json(self, name, values):
        with replacing(self.path / name) as file:
            json.dump(values, file, indent=2)
            file.write("\n")

    def write_table(self, name, rows, columns):
        with replacing(self.path / name) as file:
            pd.DataFrame(rows, columns=list(columns)).to_csv(file, index=False)

    def write_epoch(self, name, epoch, rows):
        """Add an epoch's rows to a table, replacing its own and those of later epochs.

        Line by line, so that the memory this takes does not grow with the training.

        Parameters
        ----------
        name : str
        epoch : int
            From 1.
        rows : DataFrame
            Its first column is ``epoch``.

        Warns
        -----
        UserWarning
            If the file does not hold the rows of the epochs before.
        """
        path, header = self.path / name, ",".join(rows.columns) + "\n"
        with replacing(path) as file:
            file.write(header)
            n_there = _copy_epochs(path, file, header, epoch)
            rows.to_csv(file, index=False, header=False)
        if n_there != epoch - 1:
            warnings.warn(
                f"{path} was moved or damaged, and rows of earlier epochs with it; "
                "the training itself is not affected.",
                stacklevel=2,
            )

    def _read_json(self, name):
        path = self._existing(name)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise self._damaged(path, error) from error
        if not isinstance(values, dict):
            raise self._damaged(path, "it holds no JSON object")
        return values

    def _read_table(self, name, columns):
        path = self._existing(name)
        try:
            table = pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise self._damaged(path, error) from error
        missing = set(columns) - set(table.columns)
        if missing:
            raise self._damaged(path, f"without column {', '.join(sorted(missing))}")
        return table

    def _existing(self, name):
        path = self.path / name
        if not path.is_file():
            raise RunFolderError(
                f"{self.path} holds no {name}: it is not the folder of a "
                f"{'finished ' if name != CONFIG else ''}run."
            )
        return path

    def _damaged(self, path, why):
        return RunFolderError(
            f"{path} is damaged ({why}); delete its folder and train again."
        )


def _is_less(there, asked):
    return type(there) is type(asked) is int and there < asked


def _copy_epochs(path, new, header, end):
    """Copy the lines of the epochs before `end`; return how many epochs these are."""
    before, there = {str(epoch) for epoch in range(1, end)}, set()
    if before and path.is_file():
        with open(path, encoding="utf-8", errors="replace", newline="") as old:
            for line in old if old.readline() == header else ():
                epoch = line.partition(",")[0]
                if epoch not in before:
                    break
                there.add(epoch)
                new.write(line)
    return len(there)
