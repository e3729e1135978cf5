"""Averages over seeds."""

import numpy as np
import pandas as pd
import pytest

from bsnn.analysis.study import tables
from tests.analysis.runs import runs


def test_cells_average_over_seeds():
    table = tables.cells(runs((1, 0, 0.9, 10), (1, 1, 0.8, 14), (2, 0, 0.7, 9)), "best")
    assert table.dt_ms.tolist() == [1, 2]
    assert table.accuracy.tolist() == pytest.approx([0.85, 0.7])
    # Two values a and b have the sample standard deviation |a - b| / sqrt 2.
    assert table.accuracy_sd[0] == pytest.approx(0.1 / np.sqrt(2))
    assert table.total_spikes_sd[0] == pytest.approx(4 / np.sqrt(2))
    assert np.isnan(table.accuracy_sd[1])
    assert table.n_seeds.tolist() == [2, 1]
    with pytest.raises(ValueError, match="'best' or 'last'"):
        tables.cells(runs((1, 0, 0.9, 10)), "first")


def test_a_value_missing_in_one_seed_has_no_mean():
    table = pd.DataFrame({"dt_ms": 1, "seed": [0, 1], "latency": [5.0, np.nan]})
    assert tables.mean_over_seeds(table, ["dt_ms"], ["latency"]).latency.isna().all()
