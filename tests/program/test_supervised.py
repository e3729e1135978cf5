"""A resident program that fails is replaced and its batch comes back the same."""

import logging
import os
import signal
import stat
from pathlib import Path

import numpy as np
import pytest

from bsnn.errors import ProgramError
from bsnn.program.chain_form import ChainForm
from bsnn.program.resident import ANSWER, MAGIC, ResidentProgram, Segment, aligned
from bsnn.simulators.grid import GridSimulator
from tests.models import draw, grid_model
from tests.processes.survivors import is_alive
from tests.simulators.test_grid import assert_same_spikes

pytestmark = pytest.mark.cpp

MODEL = grid_model()
TIMEOUT = 5.0  # seconds: much more than a batch takes even on a busy machine
WEIGHTS, INPUTS = draw(MODEL, np.random.default_rng(0), n_samples=4)


@pytest.fixture(scope="module")
def undisturbed():
    with GridSimulator(MODEL, workers=1) as simulator:
        return simulator.run(WEIGHTS, INPUTS)


@pytest.fixture
def simulator():
    with GridSimulator(MODEL, workers=2, timeout=TIMEOUT) as simulator:
        simulator.run(WEIGHTS, INPUTS)
        yield simulator


def assert_same_records(found, expected):
    assert_same_spikes(found, expected)
    for one, other in zip(found, expected, strict=True):
        for name in expected[0].state:
            np.testing.assert_array_equal(one.state[name], other.state[name])


@pytest.mark.parametrize(
    ("cause", "said"),
    # Not by waiting; and not by less waiting.
    [(signal.SIGKILL, "died"), (signal.SIGSTOP, f"gave no answer for {TIMEOUT:g} s")],
)
def test_a_lost_program_is_replaced(cause, said, simulator, undisturbed, caplog):
    pids = simulator.pids
    os.kill(pids[1], cause)
    records = simulator.run(WEIGHTS, INPUTS)
    assert_same_records(records, undisturbed)
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    for words in ("worker 2", said, "exit code -9", "started again and repeats"):
        assert words in warning.getMessage()
    assert simulator.pids[0] == pids[0]
    assert simulator.pids[1] != pids[1]
    with pytest.raises(ProcessLookupError):
        os.kill(pids[1], 0)
    caplog.clear()
    assert_same_records(simulator.run(WEIGHTS, INPUTS), undisturbed)
    assert not caplog.records


def test_all_programs_may_fail_at_once(simulator, undisturbed, caplog):
    for pid in simulator.pids:
        os.kill(pid, signal.SIGKILL)
    assert_same_records(simulator.run(WEIGHTS, INPUTS), undisturbed)
    assert len(caplog.records) == 2


# What a program may send instead of its answer, made from the right one.
def _other_magic(program, magic, n_bytes, at, seconds):
    return ANSWER.pack(magic + 1, n_bytes, at, seconds)


def _huge_segment(program, magic, n_bytes, at, seconds):
    return ANSWER.pack(magic, 1 << 60, at, seconds)


def _negative_segment(program, magic, n_bytes, at, seconds):
    return ANSWER.pack(magic, -1, at, seconds)


def _records_outside(program, magic, n_bytes, at, seconds):
    return ANSWER.pack(magic, n_bytes, n_bytes, seconds)


def _records_before(program, magic, n_bytes, at, seconds):
    return ANSWER.pack(magic, n_bytes, -64, seconds)


def _short(program, *answer):
    return ANSWER.pack(*answer)[:7]


def _nothing(program, *answer):
    return b""


def _twice(program, *answer):
    return 2 * ANSWER.pack(*answer)


def _damage(position, value):
    """Write into the records: of layer 1, the offsets, then neurons, then steps."""

    def change(program, magic, n_bytes, at, seconds):
        memory = program._exchange
        memory.remap(n_bytes)
        n_offset = program._batch[0].n_samples + 1
        offset = memory.view(at, np.int64, (n_offset,))
        neuron_at = at + aligned(8 * n_offset)
        step_at = neuron_at + aligned(4 * int(offset[-1]))
        block = {
            "count": offset[-1:],
            "first": offset[:1],
            "middle": offset[1:2],
            "neuron": memory.view(neuron_at, np.int32, (1,)),
            "step": memory.view(step_at, np.int32, (1,)),
        }[position]
        block[0] = value
        return ANSWER.pack(magic, n_bytes, at, seconds)

    return change


@pytest.mark.parametrize(
    ("garble", "said"),
    [
        (_other_magic, "an answer that makes no sense"),
        (_huge_segment, "an answer that makes no sense"),
        (_negative_segment, "an answer that makes no sense"),
        (_records_outside, "damaged records"),
        (_records_before, "damaged records"),
        (_short, "an answer of 7 bytes"),
        (_nothing, "worker 1: the simulation program died"),
        (_twice, f"an answer of {ANSWER.size + 1} bytes"),
        (_damage("count", 2**40), "damaged records"),
        (_damage("count", 2**62), "damaged records"),
        (_damage("count", -3), "a number of spikes is negative"),
        (_damage("first", -1), "damaged records"),
        (_damage("middle", 2**50), "damaged records"),
        (_damage("neuron", -1), "neuron index is out of range"),
        (_damage("neuron", 30), "neuron index is out of range"),
        (_damage("step", 200), "step is out of range"),
        (_damage("step", -1), "step is out of range"),
    ],
)
def test_garbage_is_noticed(garble, said, simulator, undisturbed, caplog):
    program = simulator._pool._programs[0]._program
    program._socket = _Garbling(program, garble)
    assert_same_records(simulator.run(WEIGHTS, INPUTS), undisturbed)
    (warning,) = caplog.records
    assert said in warning.getMessage()
    assert simulator._pool._programs[0]._program is not program


class _Garbling:
    """A socket between a program and us on which answers are damaged."""

    def __init__(self, program, garble):
        self._program, self._garble = program, garble
        self._real = program._socket

    def recv(self, size):
        answer = ANSWER.unpack(self._real.recv(ANSWER.size))
        assert answer[0] == MAGIC
        return self._garble(self._program, *answer)[:size]

    def __getattr__(self, name):
        return getattr(self._real, name)


def test_three_failures_in_a_row_end_the_run(undisturbed, monkeypatch, caplog):
    start = ResidentProgram._start

    def start_and_kill(self, *arguments):
        start(self, *arguments)
        os.write(self._stderr.fileno(), b"out of luck\n")
        self._process.kill()
        self._process.wait()

    with GridSimulator(MODEL, workers=2) as simulator:
        pids = simulator.pids
        with monkeypatch.context() as patch:
            patch.setattr(ResidentProgram, "_start", start_and_kill)
            os.kill(pids[0], signal.SIGKILL)
            with pytest.raises(
                ProgramError,
                match=r"(?s)worker 1 failed 3 times in a row.*died.*last checkpoint",
            ) as raised:
                simulator.run(WEIGHTS, INPUTS)
        assert "out of luck" in raised.value.stderr
        assert len(caplog.records) == 2
        assert "out of luck" in caplog.records[1].getMessage()
        # Whoever catches it can go on, and gets no answer of the failed batch.
        other = draw(MODEL, np.random.default_rng(1))[1]
        with GridSimulator(MODEL, workers=1) as fresh:
            expected = fresh.run(WEIGHTS, other)
        assert_same_records(simulator.run(WEIGHTS, other), expected)


def test_a_run_after_a_failed_one_has_as_many_tries(monkeypatch, caplog):
    def fail(self, *arguments):
        raise ProgramError("out of luck")

    with GridSimulator(MODEL, workers=1) as simulator:
        monkeypatch.setattr(ResidentProgram, "receive", fail)
        for _ in range(2):
            caplog.clear()
            with pytest.raises(ProgramError, match="failed 3 times in a row"):
                simulator.run(WEIGHTS, INPUTS)
            assert len(caplog.records) == 2


def test_failures_with_a_success_between_them_do_not_add_up(simulator, undisturbed):
    for _ in range(4):
        os.kill(simulator.pids[0], signal.SIGKILL)
        assert_same_records(simulator.run(WEIGHTS, INPUTS), undisturbed)


def test_a_batch_left_uncollected_is_not_taken_for_the_next(simulator, undisturbed):
    other = draw(MODEL, np.random.default_rng(1))[1]
    simulator._pool._programs[0].send(other)  # as when Ctrl-C comes before `receive`
    assert_same_records(simulator.run(WEIGHTS, INPUTS), undisturbed)


def test_a_program_cannot_write_the_weights(simulator):
    maps = Path(f"/proc/{simulator.pids[0]}/maps").read_text().splitlines()
    modes = [line.split()[1] for line in maps if "memfd:bsnn" in line]
    assert sorted(modes) == ["r--s", "rw-s"]


def test_a_program_that_is_gone_is_one_message(tmp_path):
    with pytest.raises(ProgramError, match="cannot be started.*delete its folder"):
        ResidentProgram(tmp_path, ChainForm(MODEL, np.dtype(float)), Segment(64), 1.0)


def test_programs_end_if_one_of_them_cannot_start(monkeypatch):
    start, pids = ResidentProgram._start, []

    def start_once(self, *arguments):
        if pids:
            arguments[-1].close()
            raise OSError("no more processes")
        start(self, *arguments)
        pids.append(self.pid)

    monkeypatch.setattr(ResidentProgram, "_start", start_once)
    with pytest.raises(ProgramError, match="no more processes") as raised:
        GridSimulator(MODEL, workers=2)
    assert raised.value.__traceback__ is not None  # which keeps the simulator alive
    assert not is_alive(pids[0])


def test_socket_and_memory_are_private(simulator):
    program = simulator._pool._programs[0]._program
    for file in (
        program._exchange.fd,
        simulator._memory.segment.fd,
        program._stderr.fileno(),
    ):
        assert stat.S_IMODE(os.fstat(file).st_mode) == 0o600
        assert os.fstat(file).st_nlink == 0  # no name to open it by
    socket = program._socket
    assert socket.getsockname() == ""
    with pytest.raises(OSError):  # nor can it be opened through its descriptor
        open(f"/proc/self/fd/{socket.fileno()}", "rb")
