"""Epochs for TensorBoard: the rows of metrics.csv, whatever happened in between."""

import importlib.util
import sys

import pytest

from bsnn import runs
from bsnn.cli.main import main
from bsnn.errors import BackendUnavailable
from bsnn.training.experiments.board import FOLDER, writer_class

TINY = "digits --dt-ms 2 --n-train 100 --n-test 50 --workers 1".split()
there = importlib.util.find_spec("tensorboard") is not None


@pytest.mark.cpp
@pytest.mark.skipif(not there, reason="tensorboard is not installed")
def test_a_board_holds_the_rows_of_metrics(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    for epochs in ("1", "3"):  # and goes on
        more = ["--epochs", epochs, "--out", str(out), "--tensorboard", "--resume"]
        assert main(["train", *TINY, *more]) == 0
    events = EventAccumulator(str(out / FOLDER))
    events.Reload()
    rows = runs.RunFolder(out).metrics()
    for split, part in rows[rows.split != "test"].groupby("split"):
        for name in ("accuracy", "hidden_spikes", "loss"):
            shown = events.Scalars(f"{name}/{split}")
            assert [point.step for point in shown] == [1, 2, 3]
            assert [p.value for p in shown] == pytest.approx(part[name].tolist())
    test = rows[rows.split == "test"].accuracy.item()
    assert events.Scalars("accuracy/test")[-1].value == pytest.approx(test)


def test_without_the_package_nothing_begins(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'bsnn\[tensorboard\]'"):
        writer_class()
    out = tmp_path / "run"
    assert main(["train", *TINY, "--tensorboard", "--out", str(out)]) == 1
    assert "'tensorboard' needs the package" in capsys.readouterr().err
    assert not out.exists()
