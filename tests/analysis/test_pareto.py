"""The Pareto front of points, and of cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsnn.analysis import pareto
from bsnn.analysis.study.tables import cells
from tests.analysis.runs import runs

# Coarse values make ties and duplicates likely.
POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=15)


def dominates(a, b):
    return a[0] >= b[0] and a[1] <= b[1] and a != b


@given(POINTS)
def test_front_is_what_nothing_dominates(points):
    front = pareto.pareto_front(*np.array(points).reshape(-1, 2).T)
    for point, on_front in zip(points, front, strict=True):
        assert on_front == (not any(dominates(other, point) for other in points))


@given(POINTS.filter(len), st.data())
def test_a_dominated_point_changes_nothing(points, data):
    accuracy, spikes = data.draw(st.sampled_from(points))
    worse = (accuracy - data.draw(st.integers(0, 2)), spikes + 1)
    before = pareto.pareto_front(*np.array(points).T)
    after = pareto.pareto_front(*np.array([*points, worse]).T)
    np.testing.assert_array_equal(after, [*before, False])


def test_nan_is_never_on_the_front():
    assert pareto.pareto_front([0.9, np.nan], [5.0, 1.0]).tolist() == [True, False]
    with pytest.raises(ValueError, match="must be of one length"):
        pareto.pareto_front([0.9], [5.0, 1.0])


def test_pareto_table_by_hand():
    ran = runs((1, 0, 0.9, 100), (1, 1, 0.9, 300), (2, 0, 0.8, 250), (4, 0, 0.7, 100))
    table = pareto.pareto_table(cells(ran, "best"))
    # Mean spikes 200, 250, 100: the second cell is worse in both.
    assert table.on_front.tolist() == [True, False, True]
    np.testing.assert_allclose(table.inverse_spikes, [1 / 200, 1 / 250, 1 / 100])
    deviation = 200 / np.sqrt(2)
    assert table.inverse_spikes_low[0] == pytest.approx(1 / (200 + deviation))
    assert table.inverse_spikes_high[0] == pytest.approx(1 / (200 - deviation))


def test_a_silent_network_is_not_on_the_front():
    ran = runs((1, 0, 0.9, 50), (2, 0, 0.1, 0))
    table = pareto.pareto_table(cells(ran, "best"))
    assert table.on_front.tolist() == [True, False]
