"""Train for an hour and watch the memory and file descriptors of all processes.

Fails unless each process's resident memory grows by less than 1 % between the first
and the last quarter of the time after warm-up, and its descriptors not at all.

    python -m tests.reliability.soak --seconds 3600 --out soak.csv
"""

import argparse
import contextlib
import dataclasses
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from bsnn import runs
from tests.processes.survivors import marked

WARM_UP = 0.2  # of the time
MAX_GROWTH = 0.01
N_REPEATS = 20  # of the digits in an epoch, which gives it the length of one of MNIST


def train_for_ever(path):
    """Train the reference network of the digits; the parent ends it."""
    import bsnn
    from bsnn.analysis import Measurement
    from bsnn.settings import Settings
    from bsnn.training.experiments.loop import train

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    digits = bsnn.load_dataset("digits")
    repeated = dataclasses.replace(
        digits,
        train_images=np.tile(digits.train_images, (N_REPEATS, 1, 1)),
        train_labels=np.tile(digits.train_labels, N_REPEATS),
    )
    train(
        # A training that goes on learning would fire, and so record, more and more.
        Settings.reference("digits", epochs=10**6, learning_rate=1e-9, workers=2),
        repeated,
        runs.RunFolder(path),
        measurement=Measurement,
        checkpoint_seconds=5,
    )


def watch(seconds, out):
    """Train in another process; return a table, one row a process and moment."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.soak", "--train", path],
            env={**os.environ, "BSNN_TEST": folder},
        )
        try:
            while not (path / runs.METRICS).is_file():  # one epoch, tested and saved
                if process.poll() is not None:
                    sys.exit("the training ended before its first epoch did")
                time.sleep(0.1)
            rows, start = [], time.monotonic()
            while (elapsed := time.monotonic() - start) < seconds:
                for pid, name in marked(folder).items():
                    role = "parent" if pid == process.pid else name
                    with contextlib.suppress(OSError):
                        rows.append({"seconds": elapsed, **measure(pid, role)})
                pd.DataFrame(rows).to_csv(out, index=False)
                time.sleep(min(5, seconds / 100))
            if process.poll() is not None:
                sys.exit("the training ended before its time")
        finally:
            process.kill()
            process.wait()
    return pd.DataFrame(rows)


def measure(pid, role):
    folder = Path(f"/proc/{pid}")
    pages = int((folder / "statm").read_text().split()[1])
    return {
        "process": f"{role} {pid}",
        "resident_mib": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "descriptors": len(os.listdir(folder / "fd")),
    }


def judge(samples):
    """Return a table of each process's growth, with a column `ok`."""
    last = samples.seconds.max()
    samples = samples[samples.seconds > WARM_UP * last]
    start = samples.seconds.min()
    quarter = (last - start) / 4
    rows = []
    for process, of_process in samples.groupby("process"):
        first = of_process[of_process.seconds <= start + quarter]
        final = of_process[of_process.seconds >= last - quarter]
        before, after = first.resident_mib.mean(), final.resident_mib.mean()
        # Not the largest: a file that is being written is open in a few moments.
        more = final.descriptors.median() - first.descriptors.median()
        rows.append(
            {
                "process": process,
                "resident_mib": before,
                "growth_percent": 100 * (after / before - 1),
                "descriptors": first.descriptors.median(),
                "more_descriptors": more,
                # NaN, of a process that was not there all the time, is not.
                "ok": bool(after / before - 1 < MAX_GROWTH and more <= 0),
            }
        )
    return pd.DataFrame(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600, help="(default: 3600)")
    parser.add_argument("--out", type=Path, default=Path("soak.csv"), help="CSV file")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        return train_for_ever(arguments.train)
    table = judge(watch(arguments.seconds, arguments.out))
    print(table.to_string(index=False, float_format="{:.2f}".format))
    return 0 if table.ok.all() else 1


if __name__ == "__main__":
    sys.exit(main())
