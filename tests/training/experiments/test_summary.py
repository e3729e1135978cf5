"""What a run says of itself: its rows, its lines, its warnings and its summary."""

from types import SimpleNamespace

import pytest

from bsnn import runs
from bsnn.settings import Settings
from bsnn.training.experiments import summary

MEASURED = {
    **{"undecided": 0.1, "layer_spikes": [5.0, 2.0], "silent_fraction": 0.2},
    **{"dead_labels": 1, "silent_layers": 0, "latency_ms": {"0.5": 90.0}},
    **{"first_spike_ms": 40.0, "decision_ms": 80.0, "silent_samples": 3},
}
NETWORK = SimpleNamespace(n_clamped=7, backend="native")


def row(epoch, split, accuracy, seconds=0.0):
    spikes = {"hidden_spikes": 10.0 * epoch, "output_spikes": 2.0}
    measures = {"epoch": epoch, "split": split, "accuracy": accuracy, **spikes}
    return {**measures, "loss": 1.0, "seconds": seconds}


def brief(epoch, accuracy):
    return {
        **{"epoch": epoch, "accuracy": accuracy},
        **{"hidden_spikes": 10.0 * epoch, "output_spikes": 2.0},
    }


def summary_of(rows, **changes):
    settings = Settings.reference("digits", dt_ms=2.0, seed=3, true=12.0, **changes)
    tested = {**MEASURED, "n_samples": 355, "loss": 1.0}
    return summary.make_summary(settings, rows, tested, NETWORK)


def test_a_summary_of_a_run_that_tests_each_epoch():
    """The best is of all tests, the last the last; seconds are of training alone."""
    rows = []
    for epoch, (accuracy, seconds) in enumerate([(0.6, 9), (0.8, 1), (0.7, 2)], 1):
        rows.append(row(epoch, "train", 0.9, seconds))
        rows.append(row(epoch, "test", accuracy, 100))
    found = summary_of(rows, epochs=3, preset="published")
    assert found["best"] == brief(2, 0.8)
    assert found["last"] == brief(3, 0.7)
    assert found["validation"] is None
    assert found["seconds_per_epoch"] == 2
    expected = {
        **MEASURED,
        **{"dataset": "digits", "rule": "grid", "detect": "end", "dt_ms": 2.0},
        **{"seed": 3, "epochs": 3, "test_samples": 355, "target": 12.0},
        "n_clamped": 7,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["backend"] == {
        **{"device": "cpp", "gradient": "native"},
        **{"precision": "single", "projection": "dense"},
    }
    assert "python" in found["versions"] and "cores" in found["machine"]


def test_a_summary_shows_the_validation_of_the_tested_epoch():
    rows = [row(n, "train", 0.9, n) for n in (1, 2, 3)]
    rows += [row(n, "validation", a) for n, a in ((1, 0.5), (2, 0.9), (3, 0.6))]
    found = summary_of([*rows, row(2, "test", 0.85)])
    assert found["validation"] == brief(2, 0.9)
    assert found["best"] == found["last"] == brief(2, 0.85)


def test_a_row_holds_the_columns_of_the_table_that_were_measured():
    metrics = {"accuracy": 0.5, "loss": 2.0, "latency_ms": {}, "confidence": 1}
    made = summary.make_row(4, "test", metrics)
    assert made == {"epoch": 4, "split": "test", "accuracy": 0.5, "loss": 2.0}
    curve = summary.make_curve(4, [10.0, 20.0], [0.1, 0.9])
    assert curve.columns.tolist() == list(runs.CONFIDENCE_COLUMNS)
    assert curve.to_numpy().tolist() == [[4, 10, 0.1], [4, 20, 0.9]]


def test_a_line_tells_an_epoch_in_percent():
    trained = {"accuracy": 0.98765, "seconds": 12.34}
    seen = {"accuracy": 0.5, "loss": 1.23456, "hidden_spikes": 40.25}
    line = summary.make_line(
        "epoch 2/9", trained, {**seen, "output_spikes": 8.0}, "validation"
    )
    assert line == (
        "epoch 2/9  train 98.77 %  validation 50.00 %  loss 1.235  "
        "spikes 40.2 + 8.0  12.3 s"
    )


@pytest.mark.parametrize("split", ["test", "validation"])
def test_silence_is_told_once_each(split, caplog):
    warned = set()
    for epoch, labels, layers in ((1, 0, 0), (2, 3, 0), (3, 4, 0), (4, 4, 1)):
        seen = {"dead_labels": labels, "silent_layers": layers}
        summary.warn_of_silence(epoch, seen, warned, split)
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith(f"epoch 2: 3 outputs fire for no {split} sample: their")
    assert second.startswith(f"epoch 4: 1 layers fire for no {split} sample; another")
    assert warned == {"dead_labels", "silent_layers"}
