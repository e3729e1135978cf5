"""The Pareto front of points, and of cells."""

import numpy as np
import pandas as pd
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
    with pytest.raises(ValueError, match="must be of one length"):
        pareto.pareto_front([[0.9]], [[5.0]])
    infinite = pareto.pareto_front([0.9, 0.95, 0.8], [np.inf, np.nan, 3.0])
    assert infinite.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("error", "front"),
    [
        (0, [True, True, True]),
        (0.01, [True, True, False]),  # 1 % more is within 2 sqrt(2) %
        ([0.01, 0.01, 0.0], [True, True, False]),
        ([0.0, 0.01, 0.001], [True, True, False]),
        ([0.01, 0.001, 0.001], [True, True, True]),
        ([0.04, 0.04, 0.0], [True, False, False]),
        (np.nan, [True, True, True]),
    ],
)
def test_what_lies_within_the_error_is_not_on_the_front(error, front):
    accuracy, spikes = [0.90, 0.95, 0.96], [10, 20, 30]
    assert pareto.pareto_front(accuracy, spikes, error).tolist() == front


def test_a_cell_is_compared_with_the_front_not_with_what_fell_off():
    """Steps of 1 %, errors of 0.5 %: every second one stands out from the front."""
    accuracy, spikes = 0.9 + 0.01 * np.arange(5), np.arange(5)
    front = pareto.pareto_front(accuracy, spikes, 0.005)
    assert front.tolist() == [True, False, True, False, True]


def test_the_error_of_an_accuracy_is_of_seeds_and_samples():
    ran = runs((1, 0, 0.91, 1), (1, 1, 0.93, 1), (2, 0, 0.5, 1), test_samples=96)
    error = pareto.accuracy_error(cells(ran, "best"))
    share = (0.92 * 96 + 2) / 100
    of_samples = share * (1 - share) / 100
    assert error[0] == pytest.approx(np.sqrt(0.01**2 + of_samples))
    assert error[1] == pytest.approx(0.05)
    perfect = cells(runs((1, 0, 1.0, 1), test_samples=355), "best")
    assert pareto.accuracy_error(perfect)[0] > 0.003
    unknown = cells(runs((1, 0, 0.91, 1), (1, 1, 0.93, 1)), "best")
    assert pareto.accuracy_error(unknown)[0] == pytest.approx(0.01)


def test_one_seed_of_355_digits_tells_no_front():
    ran = runs((1, 0, 0.96, 300), (2, 0, 0.955, 200), (4, 0, 0.95, 100))
    assert pareto.pareto_table(cells(ran, "best")).on_front.all()
    table = pareto.pareto_table(cells(ran.assign(test_samples=355), "best"))
    assert table.on_front.tolist() == [False, False, True]


def test_pareto_table_by_hand():
    ran = runs((1, 0, 0.9, 100), (1, 1, 0.9, 300), (2, 0, 0.8, 250), (4, 0, 0.7, 100))
    table = pareto.pareto_table(cells(ran, "best"))
    # Mean spikes 200, 250, 100: the second cell is worse in both.
    assert table.on_front.tolist() == [True, False, True]
    np.testing.assert_allclose(table.inverse_spikes, [1 / 200, 1 / 250, 1 / 100])
    deviation = 200 / np.sqrt(2)
    assert table.inverse_spikes_low[0] == pytest.approx(1 / (200 + deviation))
    assert table.inverse_spikes_high[0] == pytest.approx(1 / (200 - deviation))


def test_each_source_has_a_front_of_its_own():
    theirs = runs((1, 0, 0.8, 200), (2, 0, 0.7, 250)).assign(source="published")
    table = pd.concat([runs((1, 0, 0.9, 100)), theirs], ignore_index=True)
    table = pareto.pareto_table(cells(table, "best"))
    front = table[table.on_front]
    assert front.set_index("source").accuracy.to_dict() == {
        "bsnn": 0.9,
        "published": 0.8,
    }


def test_a_deviation_as_large_as_the_mean_has_no_upper_bound():
    table = pareto.pareto_table(cells(runs((1, 0, 0.9, 0), (1, 1, 0.9, 300)), "best"))
    deviation = 300 / np.sqrt(2)
    assert deviation > 150
    assert table.inverse_spikes_low[0] == pytest.approx(1 / (150 + deviation))
    assert np.isnan(table.inverse_spikes_high[0])


def test_a_silent_network_is_not_on_the_front():
    ran = runs((1, 0, 0.9, 50), (2, 0, 0.1, 0))
    table = pareto.pareto_table(cells(ran, "best"))
    assert table.on_front.tolist() == [True, False]
