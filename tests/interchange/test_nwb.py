"""Recorded spikes and traces as files of NWB, which its own validator accepts."""

import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pynwb
import pytest
from brian2.units import ms

from bsnn.errors import BackendUnavailable, RunFolderError
from bsnn.interchange import write_nwb
from tests.interchange.test_neo import draw, monitors  # noqa: F401  a fixture

SAID = {"description": "Random spikes.", "duration": 50 * ms}


def opened(path):
    assert pynwb.validate(path=str(path)) == []
    return pynwb.NWBHDF5IO(str(path), "r")


def test_the_validator_accepts_spikes_and_labels(tmp_path):
    fired, spikes = draw()
    start = datetime(2026, 1, 31, 12, tzinfo=UTC)
    write_nwb(
        tmp_path / "a.nwb",
        {"cells": spikes},
        labels=[2, 0, 1],
        start=start,
        metadata={"institution": "none"},
        **SAID,
    )
    with opened(tmp_path / "a.nwb") as io:
        file = io.read()
        assert (file.session_start_time, file.institution) == (start, "none")
        assert file.units.resolution == 1e-3
        trials, units = file.trials.to_dataframe(), file.units.to_dataframe()
    assert trials.label.tolist() == [2, 0, 1] and trials["sample"].tolist() == [0, 1, 2]
    assert trials.start_time.tolist() == pytest.approx([0, 0.05, 0.1])
    assert trials.stop_time.tolist() == pytest.approx([0.05, 0.1, 0.15])
    assert units.population.tolist() == ["cells"] * 4
    assert units.neuron.tolist() == [0, 1, 2, 3]
    for neuron, times in enumerate(units.spike_times):
        expected = np.flatnonzero(fired[:, :, neuron].ravel()) * 1e-3
        assert times == pytest.approx(expected, rel=1e-9)


def test_the_validator_accepts_what_brian2_recorded(tmp_path, monitors):  # noqa: F811
    spikes, trace = monitors
    options = {"duration": 20 * ms, "n_samples": 2, "traces": trace}
    write_nwb(tmp_path / "a.nwb", spikes, description="Three neurons.", **options)
    with opened(tmp_path / "a.nwb") as io:
        file = io.read()
        series = file.acquisition["cells_v"]
        assert (series.unit, series.rate) == ("volt", pytest.approx(1e4))
        assert np.array_equal(series.data[:], np.asarray(trace.v).T)
        assert "neurons 2, 0." in series.description
        times = np.concatenate(list(file.units["spike_times"][:]))
    assert np.sort(times) == pytest.approx(np.sort(np.asarray(spikes.t)), rel=1e-9)


def test_the_validator_accepts_traces_alone(tmp_path):
    part = SimpleNamespace(record=None, trace={"v": np.ones((2, 50, 30))})
    write_nwb(tmp_path / "a.nwb", {"out": part}, dt=1 * ms, **SAID)
    with opened(tmp_path / "a.nwb") as io:
        file = io.read()
        assert file.acquisition["out_v"].data.shape == (100, 30)
        assert file.acquisition["out_v"].description.count(",") == 20
        assert file.units is None and len(file.trials) == 2


def test_what_cannot_be_written_is_refused(tmp_path, monkeypatch):
    path, spikes = tmp_path / "a.nwb", draw()[1]
    with pytest.raises(
        ValueError, match="'start' must be a datetime with its time zon"
    ):
        write_nwb(path, spikes, start=datetime(2026, 1, 31), **SAID)
    part = SimpleNamespace(record=None, trace={"v": np.ones((2, 40, 3))})
    with pytest.raises(ValueError, match="'v' of 'out' has 40 steps .* do not fill"):
        write_nwb(path, {"out": part}, dt=1 * ms, **SAID)
    with pytest.raises(RunFolderError, match="a.nwb cannot be written"):
        write_nwb(tmp_path / "gone" / "a.nwb", spikes, **SAID)
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'bsnn\[nwb\]'"):
        write_nwb(path, spikes, **SAID)
    assert not any(tmp_path.iterdir())
