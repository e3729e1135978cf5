"""What one run folder adds to the tables, and what is said of a damaged one."""

import itertools

import numpy as np
import pandas as pd

from bsnn.errors import RunFolderError
from bsnn.inputs.datasets import is_name
from bsnn.model import Model
from bsnn.network import Network
from bsnn.readout import Readout
from bsnn.runs import CONFIDENCE, CONFIG, EVALUATIONS, METRICS, SUMMARY, RunFolder
from bsnn.settings import SETTINGS, TAGS

from .series import rule_name
from .tables import SPIKES

_CONFIG = ("dataset", "rule", "detect", "dt_ms", "seed", "epochs")
_POINT = ("epoch", "accuracy", *SPIKES)


def read_config(folder):
    """Return the configuration of a run folder, after checking what tables need."""
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
    own = "model_file" in config
    if own and not _is_own(config):
        raise _damaged(folder, CONFIG, "describes no network")
    for name in ("rule", "detect") if own else ("rule", "detect", "preset"):
        if config[name] not in SETTINGS[name].choices:
            raise _damaged(folder, CONFIG, f"has the unknown {name} {config[name]!r}")
    for name in itertools.chain(*TAGS.values()):
        value, choices = config.get(name), SETTINGS[name].choices
        if choices:
            if value not in (None, *choices):
                raise _damaged(folder, CONFIG, f"has the unknown {name} {value!r}")
            continue
        numbers = (
            value if isinstance(value, list) else [0.0 if value is None else value]
        )
        for number in numbers:
            if not isinstance(number, (int, float)) or not abs(number) < 2**63:
                raise _damaged(folder, CONFIG, f"has {name} = {value!r}")
    if "model" in config:
        try:
            Model.from_dict(config["model"])
        except ValueError as error:
            what = f"has an impossible model ({error})"
            raise _damaged(folder, CONFIG, what) from error
    return config


def _is_own(config):
    """Return whether a configuration describes the network of a model file."""
    try:
        Readout(**config["readout"]).of(Network.from_dict(config["network"]))
        name = config["model_file"]["name"]
    except (KeyError, TypeError, ValueError):
        return False
    return is_name(name) and config["preset"] == name


def run_row(folder, config, summary):
    """Return the row of a finished run as a dict; see `sweep.Sweep.runs`."""
    row = {**_identity(config), "run": folder.name, "epochs": config["epochs"]}
    try:
        for at in ("best", "last"):
            row |= {f"{at}_{name}": float(summary[at][name]) for name in _POINT}
            row[f"{at}_total_spikes"] = sum(row[f"{at}_{name}"] for name in SPIKES)
        validated = summary.get("validation") or {"accuracy": np.nan}
        row["validation_accuracy"] = float(validated["accuracy"])
        for level, latency in summary["latency_ms"].items():
            row[f"latency_ms_{level}"] = np.nan if latency is None else float(latency)
        for name in ("first_spike_ms", "decision_ms"):
            time = summary.get(name)
            row[name] = np.nan if time is None else float(time)
        for name in ("silent_fraction", "dead_labels"):
            row[name] = float(summary[name])
        row["seconds_per_epoch"] = float(summary.get("seconds_per_epoch", np.nan))
        row["test_samples"] = float(summary.get("test_samples", np.nan))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _damaged(folder, SUMMARY, f"lacks a value ({error!r})") from error
    return row


def metrics_rows(folder, config):
    """Return what each epoch measured; empty if none was kept."""
    if not (folder / METRICS).exists():
        return pd.DataFrame()
    table = RunFolder(folder).metrics()
    numbers = _numbers(folder, METRICS, table, ["epoch", "accuracy", "loss"])
    return numbers.assign(split=table["split"], **_identity(config))


def confidence_rows(folder, config):
    """Return the confidence curve of the last epoch; empty if none was kept."""
    if not (folder / CONFIDENCE).exists():
        return pd.DataFrame()
    columns = ["epoch", "time_ms", "confidence"]
    table = _numbers(folder, CONFIDENCE, RunFolder(folder).confidence(), columns)
    last = table[table.epoch == table.epoch.max()]
    return last[columns[1:]].assign(**_identity(config))


def transfer_rows(folder, config):
    """Return the accuracies at other time steps; empty if there are none."""
    if not (folder / EVALUATIONS).exists():
        return pd.DataFrame()
    try:
        table = pd.read_csv(folder / EVALUATIONS)
        rule = table["rule"]
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(folder, EVALUATIONS, f"cannot be read ({error})") from error
    table = _numbers(folder, EVALUATIONS, table, ["dt_ms", "accuracy"])
    # The matrix varies the time step alone; continuous time is the limit of all rules.
    same = table[(rule == config["rule"]) | (table.dt_ms == 0)]
    rows = same.rename(columns={"dt_ms": "test_dt_ms"})
    return rows.assign(**_identity(config))


def _identity(config):
    return {
        "source": "bsnn",
        "dataset": config["dataset"],
        "rule": rule_name(config),
        "dt_ms": float(config["dt_ms"]),
        "seed": config["seed"],
    }


def _numbers(folder, name, table, columns):
    try:
        return table[columns].astype(float)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged(folder, name, f"holds no numbers ({error})") from error


def _damaged(folder, name, what):
    return RunFolderError(
        f"'{folder}': {name} {what}; delete this run folder and run the sweep again, "
        "which repeats only the runs that are missing."
    )
