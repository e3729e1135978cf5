"""The build cache: complete or absent, shared by processes, free of leftovers."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import filelock
import pytest
from brian2.units import ms, us

from bsnn import Connection, Inputs, Model, Network, Neuron, Population
from bsnn.builds import (
    _compiler_version,
    build_once,
    cache_dir,
    compiler,
    damaged_builds,
    fingerprint,
    precompiles,
)
from bsnn.equations import CubaLIF
from bsnn.equations.models.cuba_lif import TEXTS
from bsnn.errors import BackendUnavailable, BuildError
from bsnn.kernels import load_kernel
from bsnn.program.build import read_specification, specify
from bsnn.targets.cpp.graph import CppNetworkTarget
from bsnn.targets.cpp.target import CppTarget, check_start

ROOT = Path(__file__).parents[2]


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


def test_a_build_without_its_product_is_not_published(cache):
    with pytest.raises(BuildError, match="succeeded but left no main"):
        build_once("kind", "key", lambda folder: None, product="main")
    assert list((cache / "kind").glob("*/")) == []


def empty(folder):
    (folder / "main").write_bytes(b"")


def remove_all(folder):
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        empty,
        remove_all,
        lambda folder: (folder / "main").unlink(),
        lambda folder: (folder / "main").chmod(0o600),
        lambda folder: (folder / "main").write_text("another"),
        lambda folder: (folder / "sha256").unlink(),  # as of older versions
        lambda folder: (folder / "sha256").write_bytes(b"\xff"),
    ],
)
def test_a_damaged_build_is_made_again(cache, damage, caplog):
    made = []

    def make(folder):
        made.append(folder)
        (folder / "main").write_text("ready")
        (folder / "main").chmod(0o700)

    def build():
        return build_once("programs", "key", make, product="main")

    folder = build()
    assert build() == folder and len(made) == 1
    assert damaged_builds() == []
    damage(folder)
    assert damaged_builds() == [folder]
    assert build() == folder and len(made) == 2
    assert f"{folder} is damaged and is built again" in caplog.text
    assert (folder / "main").read_text() == "ready"
    assert build() == folder and len(made) == 2
    assert [path.name for path in (cache / "programs").glob("*/")] == ["key"]


def test_a_file_in_the_place_of_a_build_gives_way(cache):
    (cache / "programs").mkdir(parents=True)
    (cache / "programs" / "key").touch()
    folder = build_once("programs", "key", lambda folder: (folder / "x").touch())
    assert (folder / "x").is_file()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "No such file"),
        ("echo BSNN_SOCKET; exit 0", "exit code 0"),
        ("echo lost; exit 3", "lost"),
        ("kill -SEGV $$", "exit code -11"),
    ],
)
def test_a_program_must_start(tmp_path, monkeypatch, script, reason):
    monkeypatch.setenv("BSNN_SOCKET", "7")  # of a program around this process
    program = tmp_path / "main"
    if script is not None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
    with pytest.raises(BuildError, match="does not start .*BSNN_CACHE") as raised:
        check_start(program)
    assert reason in str(raised.value)
    program.write_text("#!/bin/sh\necho ${BSNN_SOCKET:-no BSNN_SOCKET}; exit 3\n")
    program.chmod(0o700)
    check_start(program)


def test_leftovers_of_a_killed_build_are_removed(cache):
    names = ("key", "other", "running", "foreign")
    folders = {name: cache / "kind" / f"{name}.abc123" for name in names}
    for name, folder in folders.items():
        folder.mkdir(parents=True)
        if name != "foreign":
            (cache / "kind" / f"{name}.lock").touch()
    with filelock.FileLock(cache / "kind" / "running.lock"):
        build_once("kind", "key", lambda folder: None)
    left = [name for name, folder in folders.items() if folder.exists()]
    assert left == ["running", "foreign"]
    build_once("kind", "key", None)  # also where nothing is to be built
    left = [name for name, folder in folders.items() if folder.exists()]
    assert left == ["foreign"]


def test_the_cache_is_private_under_any_umask(cache):
    before = os.umask(0)
    try:
        build_once("kind", "key", lambda folder: None)
    finally:
        os.umask(before)
    for path in (cache, cache / "kind", cache / "kind" / "key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((cache / "kind" / "key.lock").stat().st_mode) == 0o600


def test_a_relative_cache_is_found_from_any_folder(cache, monkeypatch):
    cache.mkdir()
    monkeypatch.chdir(cache.parent)
    monkeypatch.setenv("BSNN_CACHE", cache.name)
    assert cache_dir() == cache


def test_a_cache_that_cannot_be_written_is_one_message(cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(BuildError, match=r"cannot be written.*BSNN_CACHE"):
        build_once("kind", "key", lambda folder: None)


def test_a_missing_compiler_is_one_message(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.raises(BackendUnavailable, match=r"'no-such-compiler'.*apt install"):
        compiler()


def test_the_compiler_is_a_path_or_a_command(tmp_path, monkeypatch):
    tool = tmp_path / "my tools" / "c++"
    tool.parent.mkdir()
    tool.symlink_to("/bin/true")
    monkeypatch.chdir(tool.parent)
    for given, expected in {
        str(tool): [str(tool)],
        "./c++": [str(tool)],
        f"'{tool}' -O1 -DX='a b'": [str(tool), "-O1", "-DX=a b"],
    }.items():
        monkeypatch.setenv("CXX", given)
        assert compiler() == expected
    monkeypatch.setenv("CXX", "g++ 'x")
    with pytest.raises(BackendUnavailable, match="'CXX' must be a compiler's path or"):
        compiler()


def test_what_the_compiler_is_told_belongs_to_the_key(monkeypatch):
    keys = set()
    for variable, value in [
        ("CXX", "g++"),
        ("CXX", "g++ -O1"),
        ("CPATH", "/x"),
        ("LIBRARY_PATH", "/x"),
    ]:
        monkeypatch.setenv(variable, value)
        keys.add(fingerprint("source"))
    assert len(keys) == 4


def test_the_language_of_messages_does_not_belong_to_the_key(tmp_path, monkeypatch):
    tool = tmp_path / "translated"
    tool.write_text('#!/bin/sh\necho "$LC_ALL"\n')
    tool.chmod(0o700)
    version = _compiler_version.__wrapped__  # without its cache
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    before = version((str(tool),))
    monkeypatch.setenv("LC_ALL", "fr_FR.UTF-8")
    assert version((str(tool),)) == before


def test_clang_is_given_no_precompiled_header(cache, tmp_path, monkeypatch):
    assert precompiles()  # g++
    tool = tmp_path / "clang++"
    tool.write_text("#!/bin/sh\necho Debian clang version 19.1.7\n")
    tool.chmod(0o700)
    monkeypatch.setenv("CXX", str(tool))
    assert not precompiles()

    def make(folder):
        (folder / "loop.o").write_text("whole")

    loop = build_once("loops", "key", make, product=("loop.o",))
    assert damaged_builds() == []
    (loop / "loop.o").write_text("another")
    assert damaged_builds() == [loop]


@pytest.mark.cpp
def test_kernels_are_compiled_and_refused(tmp_path, cache):
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
    # One that a full disk has cut would crash whoever loads it.
    (library,) = cache.rglob("twin.so")
    whole = library.read_bytes()
    library.unlink()
    library.write_bytes(whole[: len(whole) // 2])
    load_kernel.cache_clear()
    assert load_kernel(twin).answer() == 42
    assert library.read_bytes() == whole


def test_a_slow_file_system_makes_nothing_twice_and_leaves_nothing(cache):
    """Processes that start, find leftovers and build at once, each call taking long."""
    (cache / "kind" / "key.abc123").mkdir(parents=True)
    (cache / "kind" / "key.lock").touch()
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.builds.build_slowly", str(seed)], cwd=ROOT
        )
        for seed in range(4)
    ]
    assert [process.wait() for process in processes] == [0] * 4
    assert (cache / "made").read_text() == "made\n"
    assert [path.name for path in (cache / "kind").glob("*/")] == ["key"]


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """A file with a line for each call of the compiler."""
    compiler = tmp_path / "counting"
    compiler.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexec g++ "$@"\n')
    compiler.chmod(0o700)
    monkeypatch.setenv("CXX", str(compiler))
    return tmp_path / "calls"


@pytest.mark.cpp
@pytest.mark.slow
def test_programs_share_a_loop_that_is_whole(cache, calls, caplog):
    def build(n):
        return CppTarget().build(model(n=n))

    def n_loops():
        return sum("-c resident.cpp" in c for c in calls.read_text().splitlines())

    assert build(2) != build(3) and n_loops() == 1
    (loop,) = (cache / "loops").glob("*/")
    (loop / "loop.o").write_bytes(b"")
    assert damaged_builds() == [loop]
    build(4)
    assert n_loops() == 2 and damaged_builds() == []
    assert f"{loop} is damaged and is built again" in caplog.text


@pytest.mark.cpp
@pytest.mark.slow
def test_eight_processes_share_one_build(cache, calls):
    run = subprocess.run(
        [sys.executable, "-m", "tests.builds.build_together"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 8 and len(set(lines)) == 1
    folder, n_spikes, _ = lines[0].split()
    assert int(n_spikes) > 0
    assert [str(path) for path in (cache / "programs").glob("*/")] == [folder]
    compiled = calls.read_text().splitlines()
    assert sum("c++-header" in call for call in compiled) == 1


# --- what a program is found by -------------------------------------------------------


def model(unit=ms, per_ms=1, n=2):
    return Model.dense(
        [3, n],
        v_threshold=1.0,
        tau_syn=1.3 * per_ms * unit,
        tau_mem=2.6 * per_ms * unit,
        dt=0.1 * per_ms * unit,
        duration=20 * per_ms * unit,
    )


def network():
    neuron = Neuron("dv/dt = -v / tau : 1", "v > 1", "v = 0", parameters={"tau": ms})
    return Network(
        [Inputs("in", 2), Population("out", 2, neuron)],
        [Connection("in", "out", on_pre="v += w")],
        dt=0.1 * ms,
        duration=20 * ms,
    )


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_is_part_of_a_programs_name(cache, name, monkeypatch):
    """Else an edited equation would run the program of the old one."""
    made = []

    def remember(kind, key, make, product):
        made.append(key)
        return cache

    monkeypatch.setattr("bsnn.program.build.build_once", remember)
    edited = model()
    CppTarget().build(edited)
    monkeypatch.setattr(CubaLIF, name, f"{getattr(CubaLIF, name)} # edited")
    CppTarget().build(edited)
    assert len(set(made)) == 2


# All that a generator imports, for a file of it may decide what is written.
GENERATORS = {
    "target": "bsnn.targets.cpp.target, bsnn.targets.cpp.codeobject, "
    "bsnn.equations.models, bsnn.program.forward",
    "graph": "bsnn.targets.cpp.graph, bsnn.targets.cpp.codeobject, bsnn.program.graph",
}
# Which only find files, start processes or say what is wrong.
NEVER_WRITTEN = ["builds", "errors", "folders", "lazy", "machine", "seals"]


@pytest.mark.parametrize("generator", GENERATORS)
def test_whatever_writes_a_program_is_part_of_its_name(generator, monkeypatch):
    """Else a mended adjoint would run the program of the old one."""
    code = f"""
import sys
import {GENERATORS[generator]}
for name, module in sys.modules.items():
    if name.startswith("bsnn.") and not name.startswith("bsnn.processes"):
        print(name, module.__file__)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    writers = dict(line.split(" ", 1) for line in run.stdout.splitlines())
    for name in NEVER_WRITTEN:
        writers.pop(f"bsnn.{name}", None)
    hashed = []
    monkeypatch.setattr("bsnn.program.build.fingerprint", lambda *p: hashed.extend(p))
    monkeypatch.setattr("bsnn.program.build.build_once", lambda *p, product: None)
    if generator == "graph":
        CppNetworkTarget().build(network(), precision="double")
    else:
        CppTarget().build(model())
    left = [
        name
        for name, path in writers.items()
        # A folder's list of names says nothing of its own.
        if Path(path).name != "__init__.py" and Path(path).read_bytes() not in hashed
    ]
    assert "bsnn.equations.models.cuba_lif" in writers and left == []


DOUBLE = {"precision": "double"}


def test_a_unit_is_no_part_of_a_programs_name():
    assert specify(model(), **DOUBLE) == specify(model(us, 1000), **DOUBLE)
    assert specify(model(), **DOUBLE) == specify(model().with_dt(2 * ms), **DOUBLE)


def test_a_specification_is_read_as_it_was_written():
    written = specify(model(), precision="single")
    found, options = read_specification(written)
    assert options == {"precision": "single"}
    assert found.weight_shapes == ((3, 2),)
    with pytest.raises(RuntimeError, match="equations were edited after.*start Python"):
        read_specification(written.replace("v -= delta_v", "v = 0"))
