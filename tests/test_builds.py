"""The build cache: complete or absent, shared by processes, free of leftovers."""

import threading

import pytest

from bsnn.builds import build_once, compiler, load_kernel
from bsnn.errors import BackendUnavailable, BuildError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BSNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_folder_is_made_once_even_by_many(cache):
    made = []

    def make(folder):
        made.append(folder)
        (folder / "program").write_text("ready")

    threads = [
        threading.Thread(target=build_once, args=("kind", "key", make))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert (build_once("kind", "key", make) / "program").read_text() == "ready"


def test_a_failed_build_leaves_nothing(cache):
    def make(folder):
        (folder / "half").write_text("written")
        raise BuildError("no luck")

    with pytest.raises(BuildError, match="no luck"):
        build_once("kind", "key", make)
    assert list((cache / "kind").glob("*/")) == []


def test_leftovers_of_a_killed_build_are_removed(cache):
    leftover = cache / "kind" / "key.abc123"
    leftover.mkdir(parents=True)
    other = cache / "kind" / "other.abc123"
    other.mkdir()
    build_once("kind", "key", lambda folder: None)
    assert not leftover.exists()
    assert other.exists()


def test_a_cache_that_cannot_be_written_is_one_message(cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(BuildError, match=r"cannot be written.*BSNN_CACHE"):
        build_once("kind", "key", lambda folder: None)


def test_a_missing_compiler_is_one_message(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.raises(BackendUnavailable, match=r"'no-such-compiler'.*apt install"):
        compiler()


@pytest.mark.cpp
def test_kernels_are_compiled_and_refused(tmp_path):
    good, bad = tmp_path / "good.cpp", tmp_path / "bad.cpp"
    good.write_text('extern "C" int answer() { return 42; }')
    bad.write_text('extern "C" int answer() { return forty_two; }')
    assert load_kernel(good).answer() == 42
    with pytest.raises(BuildError, match=r"(?s)compiling bad\.cpp failed.*forty_two"):
        load_kernel(bad)
    # The same text under another name is a kernel of its own.
    twin = tmp_path / "twin.cpp"
    twin.write_text(good.read_text())
    assert load_kernel(twin).answer() == 42
