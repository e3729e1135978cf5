"""Axes of accuracies."""

import numpy as np
import pandas as pd
import pytest

from bsnn.analysis.figures import axes


def test_accuracy_axis_keeps_small_differences_beside_a_collapse(ax):
    accuracy = pd.Series([0.575, 0.980, 0.983])
    axes.accuracy_axis(ax, accuracy)
    heights = ax.transAxes.inverted().transform(
        ax.transData.transform([(0, 100 * a) for a in accuracy])
    )[:, 1]
    # Equal ratios of the error (plus half a per cent) are equal distances.
    errors = np.log(100.5 - 100 * accuracy)
    expected = (errors[1] - errors[2]) / (errors[0] - errors[2])
    found = (heights[2] - heights[1]) / (heights[2] - heights[0])
    assert found == pytest.approx(expected, rel=1e-6)
    assert (heights > 0).all() and (heights < 1).all()
    assert "98" in [text.get_text() for text in ax.get_yticklabels()]
    # What the pointer shows follows from the way back.
    scale = ax.yaxis.get_transform()
    back = scale.inverted().transform(scale.transform([57.5, 98.0, 100.0]))
    np.testing.assert_allclose(back, [57.5, 98.0, 100.0], rtol=1e-12)


def test_accuracies_close_together_have_a_plain_axis(ax):
    axes.accuracy_axis(ax, pd.Series([0.95, 0.98]))
    assert ax.get_yscale() == "linear"


def test_marks_of_accuracies_are_round(ax):
    axes.accuracy_axis(ax, pd.Series([0.55, 0.91]))
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert sorted(labels) == ["60", "70", "80", "85", "90"]
