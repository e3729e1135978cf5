"""The published numbers, as their readers quote them."""

import pytest

from bsnn.analysis.study import published

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
