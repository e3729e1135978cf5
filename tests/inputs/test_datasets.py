"""Data sets: the IDX reader, the data folder, downloads, digits and Yin-Yang."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import os
import re
import socket
import struct
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bsnn.inputs.yin_yang as yin_yang
from bsnn import load_dataset
from bsnn.errors import DataError
from bsnn.inputs.datasets import Dataset, data_folder
from bsnn.inputs.download import LOCK, download
from bsnn.inputs.idx import read_idx
from bsnn.inputs.image_files import IMAGE_SETS, ImageFiles, read_splits


def idx(array, magic=None):
    """Return `array` as the bytes of an IDX file, by the format's description."""
    array = np.asarray(array, np.uint8)
    header = struct.pack(
        f">{1 + array.ndim}I", magic or 0x800 + array.ndim, *array.shape
    )
    return header + array.tobytes()


def pictures(n_samples, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n_samples, 28, 28), np.uint8)


def write_set(data_dir, files, n_train=6, n_test=3, compress=True):
    """Write a small data set; return (train, test) pictures as they are in the files.

    Sample m has the label m.
    """
    folder = data_dir / files.folder
    folder.mkdir(parents=True, exist_ok=True)
    made = pictures(n_train), pictures(n_test, seed=1)
    content = [part for p in made for part in (idx(p), idx(np.arange(len(p))))]
    for name, data in zip(files.names, content, strict=True):
        if compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return made


# --- IDX files ------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_what_was_written(tmp_path, pack):
    path = tmp_path / "file"
    made = pictures(5)
    path.write_bytes(pack(idx(made)))
    np.testing.assert_array_equal(read_idx(path, (28, 28)), made)
    path.write_bytes(pack(idx([3, 1, 4])))
    assert read_idx(path).tolist() == [3, 1, 4]


GOOD = idx(pictures(5))
BAD_IMAGES = {
    "empty": (b"", "header of 16 bytes, got 0; it is truncated"),
    "text": (b"<html>not found", "got 0x3c68746d; it is no such file"),
    "labels": (idx(np.arange(5)), "got 0x00000801; it holds labels: put the right"),
    "signed": (idx(pictures(1), 0x00000903), "got 0x00000903; .* or damaged"),
    "short header": (GOOD[:10], "header of 16 bytes, got 10; it is truncated"),
    "short body": (GOOD[:-1], "have 3920 bytes .* got 3919; it is truncated"),
    "no body": (GOOD[:16], "have 3920 bytes .* got 0; it is truncated"),
    "trailing": (GOOD + b"\0", "have 3920 bytes .* got more; fetch"),
    "shape": (idx(np.zeros((5, 32, 30))), "images of 28x28 pixels, got 32x30"),
    "none": (idx(np.zeros((0, 28, 28))), "declare 1 to 1000000 items .* got 0;"),
    "absurd": (
        struct.pack(">4I", 0x00000803, 2**31, 28, 28) + bytes(784),
        "declare 1 to 1000000 items .* got 2147483648; it is damaged",
    ),
    "absurd shape": (
        struct.pack(">4I", 0x00000803, 5, 2**31, 2**31),
        "images of 28x28 pixels, got 2147483648x2147483648",
    ),
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("case", BAD_IMAGES)
def test_refuses_bad_files_by_name(tmp_path, case, pack):
    data, message = BAD_IMAGES[case]
    path = tmp_path / "pictures-file"
    path.write_bytes(pack(data))
    with pytest.raises(DataError, match=f"pictures-file must .*{message}") as caught:
        read_idx(path, (28, 28))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("shape", [(2**31, 28, 28), (5, 2**31, 2**31)])
def test_absurd_sizes_reserve_no_memory(tmp_path, shape):
    path = tmp_path / "file"
    path.write_bytes(struct.pack(">4I", 0x00000803, *shape) + bytes(784))
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_idx(path, (28, 28))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_names_images_where_labels_belong(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(GOOD)
    with pytest.raises(DataError, match="0x00000801 of IDX labels.* it holds images"):
        read_idx(path)


PACKED = gzip.compress(GOOD)


@pytest.mark.parametrize(
    "data",
    [
        PACKED[:5],
        PACKED[: len(PACKED) // 2],
        PACKED[:-4],
        PACKED[:-8] + bytes(4) + PACKED[-4:],
        PACKED[:100] + b"\xff" * 50 + PACKED[150:],
        PACKED[:2] + b"\x07" + PACKED[3:],
        PACKED + b"garbage",
    ],
    ids=["header", "half", "no size", "checksum", "garbled", "method", "appended"],
)
def test_refuses_damaged_gzip(tmp_path, data):
    path = tmp_path / "file.gz"
    path.write_bytes(data)
    with pytest.raises(DataError, match="file.gz must be intact gzip, got: .*; fetch"):
        read_idx(path, (28, 28))


def test_refuses_what_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist; .* BSNN_DATA"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(DataError, match="must be a readable file, got: Is a directory"):
        read_idx(tmp_path)


def test_unpacks_no_more_than_the_header_declares(tmp_path, monkeypatch):
    # 64 MiB of zeros in 64 KiB, behind a header that declares five images.
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(GOOD + bytes(64 << 20)))
    unpacked = []
    read = gzip.GzipFile.read

    def counting_read(self, size=-1):
        piece = read(self, size)
        unpacked.append(len(piece))
        return piece

    monkeypatch.setattr(gzip.GzipFile, "read", counting_read)
    with pytest.raises(DataError, match="must have 3920 bytes .* got more"):
        read_idx(path, (28, 28))
    assert sum(unpacked) == len(GOOD) + 1


@given(data=st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz"
    for content in (data, GOOD[:8] + data, PACKED[:12] + data, gzip.compress(data)):
        path.write_bytes(content)
        with pytest.raises(DataError):
            read_idx(path, (28, 28))


# --- data sets in a folder ------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_loads_a_folder(tmp_path, no_network, name, compress):
    train, test = write_set(tmp_path, IMAGE_SETS[name], compress=compress)
    dataset = load_dataset(name, data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train_images, train)
    np.testing.assert_array_equal(dataset.test_images, test)
    assert dataset.train_labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert dataset.test_labels.tolist() == [0, 1, 2]
    assert dataset.train_labels.dtype == np.int64
    assert (dataset.name, dataset.n_classes, dataset.n_inputs) == (name, 10, 784)


def test_emnist_is_turned_upright(tmp_path):
    train, test = write_set(tmp_path, IMAGE_SETS["emnist"])
    dataset = load_dataset("emnist", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train_images, [p.T for p in train])
    np.testing.assert_array_equal(dataset.test_images, [p.T for p in test])
    assert dataset.title == "EMNIST balanced"


def test_the_emnist_subset_says_so(tmp_path):
    write_set(tmp_path, IMAGE_SETS["emnist-47class-subset"])
    for name in ("emnist", "emnist-47class-subset"):
        dataset = load_dataset(name, data_dir=tmp_path)
        assert dataset.name == "emnist-47class-subset"
        assert dataset.title == "47-class EMNIST subset"
    write_set(tmp_path, IMAGE_SETS["emnist"])
    assert load_dataset("emnist", data_dir=tmp_path).title == "EMNIST balanced"


def test_the_folder_is_argument_then_variable_then_cache(tmp_path, monkeypatch):
    write_set(tmp_path / "set", IMAGE_SETS["mnist"])
    monkeypatch.setenv("BSNN_DATA", str(tmp_path / "set"))
    assert load_dataset("mnist").n_inputs == 784
    assert data_folder(tmp_path) == (tmp_path, False)
    with pytest.raises(DataError, match=str(tmp_path / "other")):
        load_dataset("mnist", data_dir=tmp_path / "other")
    monkeypatch.setenv("BSNN_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_folder() == (tmp_path / "cache" / "bsnn" / "data", True)


def test_a_named_folder_is_never_filled_from_the_network(tmp_path, no_network):
    write_set(tmp_path, IMAGE_SETS["mnist"])
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    message = (
        "MNIST needs t10k-labels-idx1-ubyte .with or without .gz. in .*mnist, .*; "
        "get them from https://.*, or name no data folder to have them downloaded"
    )
    with pytest.raises(DataError, match=message):
        load_dataset("mnist", data_dir=tmp_path)


def test_emnist_is_never_downloaded(tmp_path, monkeypatch, no_network):
    monkeypatch.delenv("BSNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    message = r"emnist-balanced-train-images-idx3-ubyte.*gzip\.zip of https://\S*emnist"
    with pytest.raises(DataError, match=message):
        load_dataset("emnist")


def test_refuses_images_and_labels_that_do_not_fit(tmp_path):
    write_set(tmp_path, IMAGE_SETS["mnist"])
    labels = tmp_path / "mnist" / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx(np.arange(5))))
    with pytest.raises(DataError, match="as many images as labels, got 6 and 5;"):
        load_dataset("mnist", data_dir=tmp_path)
    labels.write_bytes(gzip.compress(idx([0, 1, 2, 10, 4, 5])))
    with pytest.raises(DataError, match=r"train-labels.* in 0\.\.9 for MNIST, got 10;"):
        load_dataset("mnist", data_dir=tmp_path)


@pytest.mark.parametrize("name", ["cifar", "../mnist", "", ".", None, ["mnist"], 3])
def test_refuses_unknown_names(tmp_path, name):
    came = re.escape(repr(name))
    words = f"one of mnist, .*, yin-yang, or of a folder in .*, got {came}"
    with pytest.raises(ValueError, match=words):
        load_dataset(name, data_dir=tmp_path)


TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "emnist": "EMNIST"}


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("compress", [True, False])
def test_finds_what_torchvision_unpacked(tmp_path, no_network, name, compress):
    files = replace(IMAGE_SETS[name], folder=f"{TORCHVISION[name]}/raw")
    train, _ = write_set(tmp_path, files, compress=compress)
    # A folder of ours that is not complete does not hide it, nor are the two mixed.
    lone = tmp_path / IMAGE_SETS[name].folder / files.names[1]
    lone.parent.mkdir(exist_ok=True)
    lone.write_bytes(idx(np.full(6, 9)))
    dataset = load_dataset(name, data_dir=tmp_path)
    upright = [p.T for p in train] if files.transposed else train
    np.testing.assert_array_equal(dataset.train_images, upright)
    assert dataset.train_labels.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("compress", [True, False])
def test_finds_names_with_a_dot(tmp_path, no_network, compress):
    train, test = write_set(tmp_path, IMAGE_SETS["mnist"], compress=compress)
    for path in list((tmp_path / "mnist").iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert (tmp_path / "mnist" / f"t10k-images.idx3-ubyte{'.gz' * compress}").is_file()
    dataset = load_dataset("mnist", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train_images, train)
    np.testing.assert_array_equal(dataset.test_images, test)


def write_own(folder, train, test):
    """Write a data set of one's own, laid out as MNIST's; (images, labels) each."""
    folder.mkdir()
    for part, (images, labels) in (("train", train), ("t10k", test)):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))


def test_a_folder_of_ones_own_is_a_data_set(tmp_path):
    train, test = pictures(5)[:, :9, :7], pictures(2)[:, :9, :7]
    write_own(tmp_path / "my-set", (train, [0, 3, 1, 1, 2]), (test, [4, 0]))
    dataset = load_dataset("my-set", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train_images, train)
    assert dataset.test_labels.tolist() == [4, 0]
    assert (dataset.name, dataset.title) == ("my-set", "my-set")
    assert (dataset.n_inputs, dataset.n_classes) == (63, 5)


def test_a_folder_of_ones_own_is_complete_and_consistent(tmp_path):
    one = pictures(1)
    write_own(tmp_path / "sizes", (one[:, :9], [0]), (one, [0]))
    with pytest.raises(DataError, match=r"one size, got \(9, 28\) and \(28, 28\)"):
        load_dataset("sizes", data_dir=tmp_path)
    write_own(tmp_path / "empty", (one[:, :0], [0]), (one, [0]))
    with pytest.raises(DataError, match="must declare 1 to 784000000 bytes .* got 0"):
        load_dataset("empty", data_dir=tmp_path)
    huge = struct.pack(">4I", 0x00000803, 9, 2**31, 2**31)
    (tmp_path / "empty" / "train-images-idx3-ubyte").write_bytes(huge)
    with pytest.raises(DataError, match="must declare 1 to 784000000 bytes"):
        load_dataset("empty", data_dir=tmp_path)
    (tmp_path / "sizes" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="sizes needs t10k-labels-idx1-ubyte"):
        load_dataset("sizes", data_dir=tmp_path)


def own_dataset(**changes):
    values = {
        "name": "own",
        "title": "own",
        "train_images": pictures(3),
        "train_labels": [0, 1, 2],
        "test_images": pictures(2),
        "test_labels": [1, 0],
        "n_classes": 3,
    }
    return Dataset(**{**values, **changes})


def test_a_data_set_of_lists_is_one_of_arrays():
    dataset = own_dataset(train_images=pictures(3).tolist())
    assert dataset.train_labels.dtype == np.int64
    assert dataset.head(2).train_images.shape == (2, 28, 28)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"train_labels": [0, 0.9, 2]}, TypeError, "'train_labels' must be integers"),
        ({"test_labels": ["1", "0"]}, TypeError, "'test_labels' must be integers"),
        ({"test_labels": [True, False]}, TypeError, "'test_labels' must be integers"),
        ({"train_labels": [0, 1]}, ValueError, "'train_labels' must have shape .3,.,"),
        ({"train_labels": np.eye(3, dtype=int)}, ValueError, "undo one-hot labels"),
        ({"train_labels": [0, 1, 3]}, ValueError, r"must lie in 0\.\.2, .* got 0\.\.3"),
        ({"test_labels": [-1, 0]}, ValueError, r"must lie in 0\.\.2, .* got -1\.\.0"),
    ],
)
def test_labels_that_are_none_make_no_data_set(changes, error, words):
    with pytest.raises(error, match=words):
        own_dataset(**changes)


def test_head_takes_the_first_samples(tmp_path):
    train, test = write_set(tmp_path, IMAGE_SETS["mnist"])
    dataset = load_dataset("mnist", data_dir=tmp_path)
    head = dataset.head(4)
    np.testing.assert_array_equal(head.train_images, train[:4])
    assert head.train_labels.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(head.test_images, test)
    assert dataset.head(n_test=2).test_labels.tolist() == [0, 1]
    for n_train in (0, 7):
        with pytest.raises(ValueError, match=r"'n_train' must lie in 1\.\.6"):
            dataset.head(n_train)


REAL = {
    "mnist": ((60000, 28, 28), (10000, 28, 28)),
    "fashion-mnist": ((60000, 28, 28), (10000, 28, 28)),
    "emnist": ((97526, 28, 28), (9400, 28, 28)),
}


@pytest.mark.skipif(not os.environ.get("BSNN_DATA"), reason="BSNN_DATA is not set")
@pytest.mark.parametrize("name", REAL)
def test_real_data(name):
    dataset = load_dataset(name)
    if name == "emnist" and dataset.name == "emnist":
        pytest.skip("this is the official EMNIST, the figures are the subset's")
    assert (dataset.train_images.shape, dataset.test_images.shape) == REAL[name]
    # All three have equally many test images of each class.
    counts = np.bincount(dataset.test_labels, minlength=dataset.n_classes)
    if name != "mnist":
        assert np.all(counts == len(dataset.test_labels) / dataset.n_classes)
    # An upright digit 1 is taller than it is wide: its ink spreads along the rows.
    if name != "fashion-mnist":
        ones = dataset.test_images[dataset.test_labels == 1].mean(axis=0)
        place = np.arange(28) - 13.5
        rows, columns = (ones.sum(axis=axis) @ place**2 for axis in (1, 0))
        assert rows > 1.5 * columns


# --- downloads ------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve a folder over HTTP; yield (folder, URL, list of paths asked for)."""
    folder = tmp_path / "served"
    folder.mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as instance:
        thread = threading.Thread(target=instance.serve_forever, args=[0.01])
        thread.start()
        yield folder, f"http://127.0.0.1:{instance.server_port}/", asked
        instance.shutdown()
        thread.join()


def served_set(folder, url):
    """Write a small data set for the server; return its description and pictures."""
    files = ImageFiles(
        title="Small", folder="small", parts=("train", "test"), n_classes=10, source=url
    )
    made = write_set(folder.parent, replace(files, folder=folder.name))
    contents = [gzip.decompress((folder / f"{n}.gz").read_bytes()) for n in files.names]
    checksums = tuple(hashlib.sha256(content).hexdigest() for content in contents)
    return replace(files, url=url, sha256=checksums), made


def test_downloads_what_is_missing_once(tmp_path, server, capsys):
    folder, url, asked = server
    files, (train, test) = served_set(folder, url)
    data_dir = tmp_path / "cache" / "data"
    splits = read_splits(files, data_dir, fetch=True)
    np.testing.assert_array_equal(splits["train_images"], train)
    np.testing.assert_array_equal(splits["test_images"], test)
    assert sorted(asked) == sorted(f"/{name}.gz" for name in files.names)
    there = {p.name for p in (data_dir / "small").iterdir()}
    assert there == {LOCK, *(f"{name}.gz" for name in files.names)}
    # Standard output is for results, and no bar is drawn where no terminal is.
    assert capsys.readouterr() == ("", "")
    asked.clear()
    (data_dir / "small" / f"{files.names[2]}.gz").unlink()
    read_splits(files, data_dir, fetch=True)
    assert asked == [f"/{files.names[2]}.gz"]
    asked.clear()
    read_splits(files, data_dir, fetch=True)
    assert asked == []


def test_a_terminal_gets_a_progress_bar(tmp_path, server, capsys, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    folder, url, _ = server
    (folder / "file.gz").write_bytes(PACKED)
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    download(f"{url}file.gz", tmp_path / "file.gz", hashlib.sha256(GOOD).hexdigest())
    assert "file.gz" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_does_not_download_unless_allowed(tmp_path, server):
    folder, url, asked = server
    files, _ = served_set(folder, url)
    with pytest.raises(DataError, match="Small needs train-images-idx3-ubyte"):
        read_splits(files, tmp_path / "cache", fetch=False)
    assert asked == []


def test_the_checksum_is_of_the_unpacked_content(tmp_path, server):
    folder, url, _ = server
    checksum = hashlib.sha256(GOOD).hexdigest()
    for level in (1, 9):
        (folder / "file.gz").write_bytes(gzip.compress(GOOD, level, mtime=level))
        target = tmp_path / f"level{level}"
        download(f"{url}file.gz", target, checksum)
        assert target.read_bytes() == (folder / "file.gz").read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            gzip.compress(GOOD[:-1]),
            "have the SHA-256 .* when unpacked, got [0-9a-f]",
        ),
        (PACKED[:-20], "have the SHA-256 .* got a damaged file .*by hand"),
        (b"<html>login</html>", "have the SHA-256"),
        (None, "could not be fetched .*404.*by hand, or name a folder in BSNN_DATA"),
        (bytes(2001), "could not be fetched .it is longer than 2000 bytes"),
    ],
    ids=["other content", "cut off", "web page", "not found", "endless"],
)
def test_a_bad_download_leaves_nothing(tmp_path, server, content, message):
    folder, url, _ = server
    if content is not None:
        (folder / "file.gz").write_bytes(content)
    target = tmp_path / "cache" / "file.gz"
    checksum = hashlib.sha256(GOOD).hexdigest()
    limit = 2000 if content == bytes(2001) else 1 << 20
    with pytest.raises(DataError, match=message):
        download(f"{url}file.gz", target, checksum, max_bytes=limit)
    assert {path.name for path in target.parent.iterdir()} == {LOCK}


def test_what_a_killed_download_left_goes(tmp_path, server):
    folder, url, _ = server
    (folder / "file.gz").write_bytes(PACKED)
    target = tmp_path / "cache" / "file.gz"
    leftover, other = (target.parent / f".{n}.gz.killed" for n in ("file", "other"))
    for path in (leftover, other):
        path.mkdir(parents=True)
        (path / "file.gz").write_bytes(PACKED[:100])
    download(f"{url}file.gz", target, hashlib.sha256(GOOD).hexdigest())
    assert not leftover.exists()
    assert other.exists()


def test_no_server_and_no_room_are_data_errors(tmp_path, server):
    folder, url, _ = server
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(DataError, match="could not be fetched .*refused"):
        download(f"http://127.0.0.1:{port}/file.gz", tmp_path / "file.gz", "")
    (folder / "file.gz").write_bytes(PACKED)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="could not be fetched .*name a folder in"):
        download(f"{url}file.gz", tmp_path / "file" / "file.gz", "")


def test_what_is_downloaded_can_be_checked():
    for files in IMAGE_SETS.values():
        assert bool(files.url) == bool(files.sha256)
        assert all(len(bytes.fromhex(checksum)) == 32 for checksum in files.sha256)


@pytest.mark.skipif(not os.environ.get("BSNN_DATA"), reason="BSNN_DATA is not set")
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_checksums_are_those_of_the_real_files(name):
    files = IMAGE_SETS[name]
    for path, checksum in zip(
        files.find(Path(os.environ["BSNN_DATA"])), files.sha256, strict=True
    ):
        with contextlib.closing(gzip.open(path)) as stream:
            assert hashlib.sha256(stream.read()).hexdigest() == checksum


# --- digits ---------------------------------------------------------------------------


def test_digits_are_those_of_uci():
    dataset = load_dataset("digits")
    assert dataset.train_images.shape == (1442, 8, 8)
    assert dataset.test_images.shape == (355, 8, 8)
    assert dataset.train_images.dtype == np.uint8
    assert (dataset.n_classes, dataset.n_inputs) == (10, 64)
    # The class distribution that UCI publishes for the file.
    published = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    train, test = np.bincount(dataset.train_labels), np.bincount(dataset.test_labels)
    assert (train + test).tolist() == published
    assert test.tolist() == [n // 5 for n in published]
    images = np.concatenate([dataset.train_images, dataset.test_images])
    assert len(np.unique(images)) == 17
    assert images.max() == 255


def test_digits_are_upright_and_tell_apart():
    dataset = load_dataset("digits")
    zero = dataset.train_images[dataset.train_labels == 0].mean(axis=0)
    assert zero[3:5, 3:5].max() < 40 < 120 < zero[3:5, [2, 5]].min()
    # A 7 has its ink at the top, unlike the other way round.
    seven = dataset.train_images[dataset.train_labels == 7].mean(axis=0)
    assert seven[0].sum() > 1.5 * seven[7].sum()
    # The nearest neighbour names 95 % and more if labels and images belong together.
    train = dataset.train_images.reshape(-1, 64).astype(float)
    test = dataset.test_images.reshape(-1, 64).astype(float)
    distance = (train**2).sum(axis=1) - 2 * test @ train.T
    named = dataset.train_labels[distance.argmin(axis=1)]
    assert np.mean(named == dataset.test_labels) > 0.95


# --- Yin-Yang -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "region"),
    [
        ((0.25, 0.5), yin_yang.DOT),
        ((0.75, 0.5), yin_yang.DOT),
        ((0.25, 0.61), yin_yang.YIN),
        ((0.25, 0.3), yin_yang.YIN),
        ((0.5, 0.9), yin_yang.YIN),
        ((0.75, 0.61), yin_yang.YANG),
        ((0.75, 0.7), yin_yang.YANG),
        ((0.5, 0.1), yin_yang.YANG),
        ((0.02, 0.02), yin_yang.OUTSIDE),
        ((1.01, 0.5), yin_yang.OUTSIDE),
    ],
)
def test_regions_of_the_symbol(point, region):
    assert yin_yang.region(*np.array(point)) == region


def test_yin_and_yang_are_each_other_turned_round():
    x, y = np.random.default_rng(0).random((2, 10_000))
    here, turned = yin_yang.region(x, y), yin_yang.region(1 - x, 1 - y)
    swapped = np.array([yin_yang.YANG, yin_yang.YIN, yin_yang.DOT, yin_yang.OUTSIDE])
    np.testing.assert_array_equal(turned, swapped[here])


def test_areas_of_the_symbol():
    # Midpoints of a fine grid; the areas follow from the circles alone.
    side = (np.arange(1000) + 0.5) / 1000
    found = yin_yang.region(*np.meshgrid(side, side))
    dots = 2 * np.pi * 0.1**2
    half = (np.pi * 0.5**2 - dots) / 2
    for region, area in (
        (yin_yang.DOT, dots),
        (yin_yang.YIN, half),
        (yin_yang.YANG, half),
    ):
        # The boundary cuts some 4,000 of the million squares, as often in as out.
        assert np.mean(found == region) == pytest.approx(area, abs=1e-3)


def test_yin_yang_is_balanced_fixed_and_as_in_its_paper():
    dataset, again = load_dataset("yin-yang"), load_dataset("yin-yang")
    assert (dataset.n_classes, dataset.n_inputs) == (3, 4)
    for split, n_samples in (("train", 5000), ("test", 1000)):
        images = getattr(dataset, f"{split}_images")
        labels = getattr(dataset, f"{split}_labels")
        assert images.shape == (n_samples, 4)
        assert np.ptp(np.bincount(labels)) <= 1
        x, y, mirrored_x, mirrored_y = images.T / 255
        np.testing.assert_array_equal(yin_yang.region(x, y), labels)
        np.testing.assert_allclose(mirrored_x, 1 - x, rtol=0, atol=1e-15)
        np.testing.assert_allclose(mirrored_y, 1 - y, rtol=0, atol=1e-15)
        np.testing.assert_array_equal(images, getattr(again, f"{split}_images"))
        assert 0 < images.min() and images.max() <= 255
    assert not np.isin(dataset.test_images[:, 0], dataset.train_images[:, 0]).any()
