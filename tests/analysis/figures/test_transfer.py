"""The matrix of time steps in training and test."""

import numpy as np
import pandas as pd

from bsnn.analysis.figures import transfer


def test_transfer_matrix_has_training_as_rows(ax):
    table = pd.DataFrame(
        {
            "source": "bsnn",
            "dataset": "digits",
            "dt_ms": [1, 1, 8],
            "test_dt_ms": [1, 8, 8],
            "accuracy": [0.95, 0.53, 0.9],
        }
    )
    transfer.plot(table, ax)
    np.testing.assert_allclose(
        np.ma.filled(ax.images[0].get_array(), np.nan), [[95, 53], [np.nan, 90]]
    )
    assert ax.images[0].get_clim() == (50, 100)
    places = {text.get_text(): text.get_position() for text in ax.texts}
    assert places == {"95.0": (0, 0), "53.0": (1, 0), "90.0": (1, 1)}
    assert "test" in ax.get_xlabel() and "training" in ax.get_ylabel()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["1", "8"]
