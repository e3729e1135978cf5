"""The Pareto front, averages over seeds, and the published numbers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsnn.analysis import pareto
from bsnn.analysis.study import published, tables

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


def runs(*rows):
    """Runs of (dt_ms, seed, accuracy, total spikes)."""
    table = pd.DataFrame(rows, columns=["dt_ms", "seed", "accuracy", "total_spikes"])
    table = table.assign(
        source="bsnn", dataset="digits", rule="grid", hidden_spikes=1, output_spikes=1
    )
    values = ["accuracy", "hidden_spikes", "output_spikes", "total_spikes"]
    for at in ("best", "last"):
        for value in values:
            table[f"{at}_{value}"] = table[value] - (at == "last") * 0.01
    return table.drop(columns=values)


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


def test_pareto_table_by_hand():
    table = pareto.pareto_table(
        runs((1, 0, 0.9, 100), (1, 1, 0.9, 300), (2, 0, 0.8, 250), (4, 0, 0.7, 100)),
        at="best",
    )
    # Mean spikes 200, 250, 100: the second cell is worse in both.
    assert table.on_front.tolist() == [True, False, True]
    np.testing.assert_allclose(table.inverse_spikes, [1 / 200, 1 / 250, 1 / 100])
    deviation = 200 / np.sqrt(2)
    assert table.inverse_spikes_low[0] == pytest.approx(1 / (200 + deviation))
    assert table.inverse_spikes_high[0] == pytest.approx(1 / (200 - deviation))


def test_a_silent_network_is_not_on_the_front():
    table = pareto.pareto_table(runs((1, 0, 0.9, 50), (2, 0, 0.1, 0)), at="best")
    assert table.on_front.tolist() == [True, False]


# The study's table as its users quote it: best test accuracy (%), spikes after the last
# epoch, both to the digits given; every value is a mean over the seeds.
MNIST = {
    0.5: (98.25, 517),
    1: (98.28, 496),
    2: (98.23, 521),
    3: (98.21, 506),
    4: (98.22, 461),
    5: (98.21, 457),
    6: (98.21, 462),
    7: (98.19, 465),
    8: (84.2, 791),
}
EMNIST = {
    0: (84.86, 889),
    0.5: (83.27, 751),
    1: (81.82, 1023),
    2: (82.00, 992),
    4: (82.08, 449),
    5: (81.97, 428),
    7: (81.83, 418),
    8: (80.67, 418),
    10: (71.1, 424),
    15: (49.3, 394),
}
FASHION = {1: 87.80, 3: 87.75, 4: 87.56, 5: 83.3, 6: 78.1, 7: 72.9, 8: 59.6}


@pytest.mark.parametrize(
    ("dataset", "quoted", "n_seeds"), [("mnist", MNIST, 5), ("emnist", EMNIST, 3)]
)
def test_published_table(dataset, quoted, n_seeds):
    table = published.summary(dataset).set_index("dt_ms")
    for dt, (percent, spikes) in quoted.items():
        # Half a unit of the last quoted digit, and rounding of halves.
        digit = 0.1 if round(percent, 1) == percent else 0.01
        assert 100 * table.best_accuracy[dt] == pytest.approx(percent, abs=0.51 * digit)
        assert table.last_total_spikes[dt] == pytest.approx(spikes, abs=0.51)
    assert (table.n_seeds == n_seeds).all()


def test_published_fashion_and_the_collapse():
    fashion = published.summary("fashion-mnist").set_index("dt_ms")
    for dt, percent in FASHION.items():
        assert 100 * fashion.best_accuracy[dt] == pytest.approx(percent, abs=0.051)
    assert 100 * fashion.last_accuracy[8] == pytest.approx(17.8, abs=0.051)
    mnist = published.summary("mnist").set_index("dt_ms")
    assert 100 * mnist.last_accuracy[8] == pytest.approx(57.5, abs=0.051)
    assert mnist.final_confidence[8] == pytest.approx(0.508, abs=5e-4)


@pytest.mark.parametrize(
    ("dt", "quoted"),
    [
        (1, {50: 0.046, 80: 0.180, 100: 0.297, 130: 0.491, 150: 0.624, 180: 0.818}),
        (7, {50: 0.002, 80: 0.122, 100: 0.242, 130: 0.427, 150: 0.575, 200: 0.918}),
    ],
)
def test_published_confidence(dt, quoted):
    table = published.confidence("mnist")
    mean = table[table.dt_ms == dt].groupby("time_ms").confidence.mean()
    for time_ms, value in quoted.items():
        assert mean[time_ms] == pytest.approx(value, abs=5.1e-4)


def test_published_rules_and_unknown_data_sets():
    emnist = published.runs("emnist")
    assert set(emnist.dataset) == {"emnist-balanced"}
    assert set(emnist.rule[emnist.dt_ms == 0]) == {"continuous"}
    assert set(emnist.rule[emnist.dt_ms > 0]) == {"quantised-event"}
    assert published.runs("digits").empty
    assert published.summary("digits").empty
    assert len(published.epochs()) == 1050
