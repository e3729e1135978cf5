"""Events in HDF5 files: read, refused, bounded in memory."""

import importlib.util
import os
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from brian2 import ms

from bsnn import Model, load_dataset
from bsnn.errors import BackendUnavailable, DataError
from bsnn.inputs import codes, hdf5
from bsnn.inputs.hdf5 import EventFile
from bsnn.inputs.numbers import FIRST_OF_TEST
from bsnn.inputs.samples import own_validation
from bsnn.settings import Settings
from bsnn.training.experiments.loop import _parts
from tests.inputs.event_files import write_events

h5py = pytest.importorskip("h5py")


def rows_of(n_samples, seed=0, n_events=30, n_channels=700):
    rng = np.random.default_rng(seed)
    return [
        (
            np.sort(rng.integers(0, 1024, n_events) / 1024),
            rng.integers(n_channels, size=30),
        )
        for _ in range(n_samples)
    ]


def make_model(duration, n_inputs=700):
    return Model.dense(
        [n_inputs, 2],
        v_threshold=1.0,
        tau_syn=5 * ms,
        tau_mem=10 * ms,
        dt=1 * ms,
        duration=duration,
    )


def test_reads_what_was_written_in_any_order(tmp_path):
    train, test = rows_of(7), rows_of(4, seed=1)
    write_events(tmp_path / "shd" / "shd_train.h5", train, [3, 1, 4, 1, 5, 9, 2])
    write_events(tmp_path / "shd" / "shd_test.h5", test, [6, 5, 3, 5])
    dataset = load_dataset("shd", data_dir=tmp_path)
    assert (dataset.title, dataset.name, dataset.code) == ("SHD", "shd", "events")
    assert (dataset.n_inputs, dataset.n_classes) == (700, 10)
    assert dataset.train_labels.tolist() == [3, 1, 4, 1, 5, 9, 2]
    last = max(t.max() for t, _ in train + test)
    assert last < float(dataset.duration) <= last + 0.001
    places = np.array([5, 0, 5, 2])
    events = dataset.train.take(places)
    for m, place in enumerate(places):
        mine = slice(*events.offset[m : m + 2])
        np.testing.assert_array_equal(events.time[mine], train[place][0])
        np.testing.assert_array_equal(events.channel[mine], train[place][1])
    samples = dataset.samples(
        "test", codes.named("events"), make_model(dataset.duration)
    )
    expected = {
        (m, int(t * 1000 + 1e-3), i)
        for m, (times, units) in enumerate(test)
        for t, i in zip(times, units, strict=True)
    }
    spikes = samples.spikes(np.arange(4))
    found = zip(spikes.sample, spikes.step, spikes.neuron, strict=True)
    assert [tuple(map(int, one)) for one in found] == sorted(expected)


def test_a_folder_of_ones_own_has_as_many_channels_as_it_uses(tmp_path):
    rows = [([0.5], [41]), ([0.1, 0.2], [3, 7])]
    for split in ("train", "test"):
        write_events(tmp_path / "retina" / f"x_{split}.h5", rows, [0, 1])
    dataset = load_dataset("retina", data_dir=tmp_path)
    assert (dataset.title, dataset.n_inputs) == ("retina", 42)
    assert float(dataset.duration) == pytest.approx(0.501)


def test_samples_of_its_own_for_validation_are_used_for_that(tmp_path):
    """As SSC has them; their longest sample and largest label count as others' do."""
    rows = {"train": rows_of(7), "valid": [([1.5], [3])] * 3, "test": rows_of(4)}
    for split, own in rows.items():
        labels = [7, 8, 9] if split == "valid" else [0, 1, 2, 3, 4, 5, 6][: len(own)]
        write_events(tmp_path / "ssc" / f"ssc_{split}.h5", own, labels)
    dataset = load_dataset("ssc", data_dir=tmp_path)
    assert dataset.validation_labels.tolist() == [7, 8, 9]
    assert (dataset.n_classes, len(dataset.train)) == (10, 7)
    assert float(dataset.duration) == pytest.approx(1.501)
    model = make_model(dataset.duration)
    samples = dataset.samples("validation", codes.named("events"), model)
    assert samples.spikes(np.arange(3)).neuron.tolist() == [3, 3, 3]
    assert samples.labels.tolist() == [7, 8, 9]
    assert samples.first not in (0, FIRST_OF_TEST)
    assert len(dataset.head(2, 1).validation) == 3
    assert own_validation(dataset, 0.1, None)
    assert not own_validation(dataset, 0.0, None)
    with pytest.raises(ValueError, match="'validation_seed' must be left out, got 4"):
        own_validation(dataset, 0.1, 4)
    with pytest.raises(TypeError, match="'validation' and 'validation_labels' belong"):
        replace(dataset, validation_labels=None)
    write_events(tmp_path / "ssc" / "b_valid.h5", rows["valid"], [0, 1, 2])
    with pytest.raises(DataError, match="got b_valid.h5, ssc_valid.h5; leave one"):
        load_dataset("ssc", data_dir=tmp_path)


@pytest.mark.parametrize(("share", "n_own"), [(0.1, 3), (0.0, 0)])
def test_a_training_validates_with_them_and_trains_on_the_rest(tmp_path, share, n_own):
    for split, n in (("train", 8), ("valid", 3), ("test", 4)):
        labels = np.arange(n) % 2
        write_events(tmp_path / "own" / f"x_{split}.h5", rows_of(n), labels)
    dataset = load_dataset("own", data_dir=tmp_path)
    settings = Settings.reference("digits", validation=share)
    (split, train), (of, validation) = _parts(dataset, settings)
    assert (split, train.tolist()) == ("train", list(range(8)))
    assert (len(validation), of) == (n_own, "validation" if n_own else "train")


def test_files_are_named_that_are_not_there(tmp_path):
    write_events(tmp_path / "set" / "a_train.h5", rows_of(2), [0, 1])
    with pytest.raises(DataError, match=r"one file \*_test.h5, got none; put it there"):
        load_dataset("set", data_dir=tmp_path)
    (tmp_path / "set" / "a_test.h5.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"\*_test.h5, got none; unpack it"):
        load_dataset("set", data_dir=tmp_path)
    write_events(tmp_path / "set" / "b_train.h5", rows_of(2), [0, 1])
    with pytest.raises(DataError, match="got a_train.h5, b_train.h5; leave one"):
        load_dataset("set", data_dir=tmp_path)
    with pytest.raises(DataError, match="nowhere.h5 must be a readable file, got: No"):
        EventFile(tmp_path / "nowhere.h5")


GOOD = ([0.1, 0.2], [1, 2])
BAD = {
    "empty": (
        [GOOD, ([], [])],
        [0, 1],
        {},
        "no events in sample 1; .*allow_empty=True",
    ),
    "labels": ([GOOD], [0, 1], {}, "as many rows .* as labels, got 1, 1 and 2"),
    "no labels": ([], np.zeros(0, int), {}, "hold 1 to 10000000 labels, got 0"),
    "float labels": ([GOOD], [0.5], {}, "'labels' of int, got float64"),
    "negative label": ([GOOD], [-1], {}, r"labels from 0, got -1\.\.-1"),
    "two axes": ([GOOD], [[0]], {}, r"'labels' with one row .* got shape \(1, 1\)"),
    "pair": ([GOOD, ([0.1], [1, 2])], [0, 1], {}, "got 1 and 2 of sample 1"),
    "negative": ([GOOD, ([-0.1], [1])], [0, 1], {}, "in seconds .* got -0.0999.* 1"),
    "nan": ([([np.nan, 1], [1, 2])], [0], {}, "in seconds .* got nan..nan of sample 0"),
    "inf": ([([np.inf], [1])], [0], {}, "in seconds .* got inf..inf of sample 0"),
    "unit": (
        [([0.1], [-3])],
        [0],
        {"unit_kind": np.int16},
        r"units from 0, got -3\.\.-3 of sample 0",
    ),
    "microseconds": (
        [([100], [3])],
        [0],
        {"time_kind": np.int64},
        "'spikes/times' as rows of any length of float, seconds, got int64",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses_bad_files_by_name(tmp_path, case):
    rows, labels, kinds, words = BAD[case]
    write_events(tmp_path / "events-file.h5", rows, labels, **kinds)
    with pytest.raises(DataError, match=f"events-file.h5 .*{words}"):
        EventFile(tmp_path / "events-file.h5")


def test_silence_is_a_sample_where_it_is_meant(tmp_path):
    write_events(tmp_path / "file.h5", [GOOD, ([], [])], [0, 1])
    file = EventFile(tmp_path / "file.h5", allow_empty=True)
    assert file.take(np.array([1, 0])).offset.tolist() == [0, 0, 2]


def test_other_layouts_are_named(tmp_path):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((3, 4))
    with pytest.raises(
        DataError, match="data set 'spikes/times', got images; it is no"
    ):
        EventFile(path)
    with h5py.File(path, "w") as file:
        file["spikes/times"] = np.zeros(3)
        file["spikes/units"] = np.zeros(3, int)
        file["labels"] = np.zeros(3, int)
    with pytest.raises(DataError, match="'spikes/times' as rows of any length"):
        EventFile(path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(
        DataError, match="must be an intact HDF5 file, got: .*signature"
    ):
        EventFile(path)


def test_other_files_are_not_read(tmp_path):
    write_events(tmp_path / "good.h5", [GOOD], [0])
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        for name in ("spikes", "labels"):
            file[name] = h5py.ExternalLink("good.h5", name)
    with pytest.raises(DataError, match="'spikes/times' itself, not a link to another"):
        EventFile(path)


def test_a_file_on_which_the_library_dies_or_loops_is_refused(tmp_path, monkeypatch):
    write_events(tmp_path / "file.h5", [GOOD], [0])
    # A process that is killed writes nothing, whatever killed it.
    monkeypatch.setattr(
        hdf5, "python_command", lambda *_: ["/bin/sh", "-c", "kill -XCPU $$"]
    )
    with pytest.raises(
        DataError, match=r"library fails on it .*ended with -24\); fetch"
    ):
        EventFile(tmp_path / "file.h5")


def test_claimed_sizes_reserve_no_memory(tmp_path):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        for name in ("spikes/times", "spikes/units"):
            kind = h5py.vlen_dtype(np.float16 if "times" in name else np.uint16)
            file.create_dataset(name, (2**40,), dtype=kind, chunks=(2**10,))
        file.create_dataset("labels", (2**40,), dtype=np.int64, chunks=(2**10,))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="1 to 10000000 labels, got 1099511627776"):
            EventFile(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_only_what_is_taken_is_in_memory(tmp_path):
    n_events, n_samples = 20_000, 100  # 12 bytes an event in the file's units and ours
    rng = np.random.default_rng(0)
    rows = [
        (rng.random(n_events), rng.integers(700, size=n_events))
        for _ in range(n_samples)
    ]
    write_events(tmp_path / "file.h5", rows, np.zeros(n_samples, int))
    tracemalloc.start()
    try:
        file = EventFile(tmp_path / "file.h5")
        assert tracemalloc.get_traced_memory()[1] < n_events * n_samples
        assert file.n_events == n_events * n_samples
        file.take(np.array([3, 50]))
        assert tracemalloc.get_traced_memory()[1] < 0.1 * n_samples * n_events * 16
    finally:
        tracemalloc.stop()


def test_a_file_that_changes_is_not_trusted(tmp_path):
    path = tmp_path / "file.h5"
    write_events(path, [GOOD], [0])
    file = EventFile(path)
    os.utime(path, (1, 1))
    with pytest.raises(DataError, match="has changed since it was opened; load it"):
        file.take(np.array([0]))


def test_the_extra_is_named_where_h5py_is_missing(tmp_path, monkeypatch):
    write_events(tmp_path / "file.h5", [GOOD], [0])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'bsnn\[data\]'"):
        EventFile(tmp_path / "file.h5")
