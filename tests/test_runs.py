"""The tables of a run folder that grow with the training."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from bsnn import runs

TIMES_MS = [0.1, 0.2, 1 / 3]


def curve_of(epoch, shift=0.0):
    confidence = [epoch + shift + time for time in TIMES_MS]
    values = (epoch, TIMES_MS, confidence)
    return pd.DataFrame(dict(zip(runs.CONFIDENCE_COLUMNS, values, strict=True)))


@settings(max_examples=20)
@given(attempts=st.lists(st.integers(1, 12), max_size=4), last=st.integers(1, 12))
def test_epochs_done_again_take_their_places(tmp_path_factory, attempts, last):
    """However often a training is killed and goes on from an earlier epoch."""
    folder, done = runs.RunFolder(tmp_path_factory.mktemp("run")), 0
    for attempt, end in enumerate([*attempts, last], start=1):
        first = min(done + 1, end)
        for epoch in range(first, end + 1):
            folder.write_epoch(runs.CONFIDENCE, epoch, curve_of(epoch))
        done = end
        # What the next attempt writes over, if it begins before.
        folder.write_epoch(runs.CONFIDENCE, done + 1, curve_of(done + 1, attempt))
    folder.write_epoch(runs.CONFIDENCE, done + 1, curve_of(done + 1))
    expected = pd.concat(map(curve_of, range(1, done + 2)), ignore_index=True)
    assert_frame_equal(folder.confidence(), expected, check_exact=True)


@pytest.mark.parametrize("how", ["moved", "cut", "altered"])
def test_lost_epochs_are_told_of_and_lose_no_more(tmp_path, how):
    folder = runs.RunFolder(tmp_path)
    path = tmp_path / runs.CONFIDENCE
    for epoch in (1, 2, 3):
        folder.write_epoch(runs.CONFIDENCE, epoch, curve_of(epoch))
    lines = path.read_bytes().splitlines(keepends=True)
    if how == "moved":
        path.unlink()
    else:
        lines[4:] = [b"\xff" + lines[4]] if how == "altered" else []
        path.write_bytes(b"".join(lines))
    kept = [] if how == "moved" else [1]
    for epoch in (4, 5):
        with pytest.warns(UserWarning, match="rows of earlier epochs"):
            folder.write_epoch(runs.CONFIDENCE, epoch, curve_of(epoch))
    expected = pd.concat(map(curve_of, [*kept, 4, 5]), ignore_index=True)
    assert_frame_equal(folder.confidence(), expected, check_exact=True)


def test_an_evaluation_done_again_replaces_its_row(tmp_path):
    folder = runs.RunFolder(tmp_path)

    def row(rule, dt_ms, accuracy):
        rest = dict.fromkeys(runs.EVALUATION_COLUMNS[3:], 0.0)
        return {"rule": rule, "dt_ms": dt_ms, "accuracy": accuracy, **rest}

    folder.add_evaluations([row("grid", 1.0, 0.1), row("grid", 2.0, 0.2)])
    folder.add_evaluations([row("quantised-event", 1.0, 0.3), row("grid", 1.0, 0.4)])
    table = pd.read_csv(tmp_path / runs.EVALUATIONS)
    found = table[["rule", "dt_ms", "accuracy"]].values.tolist()
    assert sorted(found) == [
        ["grid", 1.0, 0.4],
        ["grid", 2.0, 0.2],
        ["quantised-event", 1.0, 0.3],
    ]


def test_a_run_that_goes_on_is_not_finished(tmp_path):
    """What says so goes first: a kill right after must not leave a finished run."""
    folder = runs.RunFolder(tmp_path)
    config = {"preset": "default", "epochs": 1}
    folder.create(config)
    folder.write_json(runs.SUMMARY, {})
    folder.create(config)
    assert folder.finished
    folder.create({**config, "epochs": 2})
    assert not folder.finished
