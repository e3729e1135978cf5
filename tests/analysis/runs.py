"""A table of runs that were never made."""

import numpy as np
import pandas as pd


def runs(*rows, test_samples=np.nan):
    """Runs of (dt_ms, seed, accuracy, total spikes)."""
    table = pd.DataFrame(rows, columns=["dt_ms", "seed", "accuracy", "total_spikes"])
    table = table.assign(
        source="bsnn", dataset="digits", rule="grid", hidden_spikes=1, output_spikes=1
    )
    values = ["accuracy", "hidden_spikes", "output_spikes", "total_spikes"]
    for at in ("best", "last"):
        for value in values:
            table[f"{at}_{value}"] = table[value] - (at == "last") * 0.01
    return table.drop(columns=values).assign(test_samples=test_samples)
