"""A table with one row for each run folder, asked for on the command line."""

import argparse

import matplotlib.pyplot as plt
import pandas as pd

from bsnn.inputs.datasets import load_dataset
from bsnn.runs import RunFolder
from bsnn.settings import Settings


def open_run(folder):
    """Return settings and data set of a run."""
    settings = Settings.from_config(folder.config(), workers=None)
    dataset = load_dataset(settings.dataset)
    return settings, dataset.head(settings.n_train, settings.n_test)


def main(description, make_row, draw):
    """Write, show and `draw` what `make_row` returns, a dict, for each `RunFolder`."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("run", nargs="+", help="finished run folders")
    parser.add_argument("--out", required=True, help="CSV file to write")
    arguments = parser.parse_args()
    table = pd.DataFrame([make_row(RunFolder(run)) for run in arguments.run])
    table.to_csv(arguments.out, index=False, float_format="%.4g")
    print(table.round(4).to_string(index=False))
    _, ax = plt.subplots(figsize=(7, 3), layout="constrained")
    draw(table.set_index("run"), ax)
    plt.show()
