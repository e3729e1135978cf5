"""Code compiled with sanitizers passes, and what they find reaches whoever called."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest

from bsnn.builds import SANITIZE_FLAGS, compiler, fingerprint
from bsnn.errors import BackendUnavailable, ProgramError
from bsnn.kernels import load_kernel
from bsnn.program.build import PACKAGE
from bsnn.program.chain_form import ChainForm
from bsnn.program.resident import ResidentProgram, Segment
from bsnn.targets.cpp.target import LOOP
from tests.models import draw, grid_model
from tests.reliability.sanitize import ROOT, environment

pytestmark = pytest.mark.cpp

# One program and both kernels, with layers, batches and spikes beyond their blocks.
GRID, EVENT = (
    "tests/simulators/test_grid.py::test",
    "tests/simulators/test_event.py::test",
)
SIZES, KERNEL = (
    "tests/simulators/test_sizes.py::test",
    "tests/training/linear/test_kernel.py::test",
)
SHORT = (
    f"{GRID}_spikes_equal_the_numpy_model[blocks-7-0]",
    f"{GRID}_batches_of_any_size_equal_the_numpy_model",
    f"{EVENT}_workers_and_batching_do_not_matter[8]",
    f"{SIZES}_events_of_several_blocks_equal_the_root_finder[2-float32]",
    f"{SIZES}_gradients_of_any_width_equal_the_sum_over_all_pairs[13-modes0]",
    f"{SIZES}_gradients_of_any_width_equal_the_sum_over_all_pairs[70-modes0]",
    f"{KERNEL}_recovered_crossings_are_those_of_the_equations[8.0-float32]",
    f"{KERNEL}_threads_do_not_change_a_bit[dtype0-10]",
)


@pytest.mark.slow
def test_programs_and_kernels_pass_with_sanitizers():
    arguments = ["-p", "no:cacheprovider", *SHORT]
    run = subprocess.run(
        [sys.executable, "-m", "tests.reliability.sanitize", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


OVERRUN = """
#include "protocol.h"
int main() {
  bsnn::Segment exchange(bsnn::descriptor("BSNN_EXCHANGE"), PROT_READ | PROT_WRITE);
  exchange.map_all();
  size_t at = 0;
  int32_t* block = exchange.block<int32_t>(at, 16);  // fills its cache line
  block[16] = 1;
}
"""


def test_a_write_behind_a_block_of_shared_memory_is_told(tmp_path):
    (tmp_path / "main.cpp").write_text(OVERRUN)
    command = [
        *compiler(),
        *SANITIZE_FLAGS,
        "-std=c++17",
        *(f"-I{(PACKAGE / header).parent}" for header in LOOP.headers),
    ]
    subprocess.run([*command, "main.cpp", "-o", "main"], cwd=tmp_path, check=True)
    model = grid_model()
    inputs = draw(model, np.random.default_rng(0))[1]
    words = r"(?s)died.*use-after-poison.*main\.cpp:8"
    started = ResidentProgram(
        tmp_path, ChainForm(model, np.dtype(float)), Segment(64), 60.0
    )
    with contextlib.closing(started), pytest.raises(ProgramError, match=words):
        started.send(inputs)
        started.receive()


# Runs a kernel with an array of 64 numbers, and 64.
CALL = """
import ctypes, pathlib, sys
import numpy
from bsnn.kernels import load_kernel
numbers = numpy.zeros(64, "i4")
load_kernel(pathlib.Path(sys.argv[1])).go(ctypes.c_void_p(numbers.ctypes.data), 64)
"""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("numbers[n] = 1", "heap-buffer-overflow"),
        ("numbers[0] = n << n", "shift exponent 64 is too large"),
        ("numbers[0] = int(1e300 * n)", "outside the range of representable values"),
    ],
)
def test_a_kernel_that_goes_wrong_ends_the_process(statement, said, tmp_path):
    source = tmp_path / "wrong.cpp"
    source.write_text(f'extern "C" void go(int* numbers, int n) {{ {statement}; }}')
    run = subprocess.run(
        [sys.executable, "-c", CALL, source],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    assert said in run.stderr


def test_builds_with_other_flags_are_kept_apart(monkeypatch):
    keys = []
    for sanitize, cxx in (("", "g++"), ("0", "g++"), ("1", "g++"), ("", "g++ -O0")):
        monkeypatch.setenv("BSNN_SANITIZE", sanitize)
        monkeypatch.setenv("CXX", cxx)
        keys.append(fingerprint("a program"))
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_kernels_with_sanitizers_need_their_library(tmp_path, monkeypatch):
    if "LD_PRELOAD" in os.environ:
        pytest.skip("it is there")
    monkeypatch.setenv("BSNN_SANITIZE", "1")
    with pytest.raises(BackendUnavailable, match="LD_PRELOAD.*make sanitize"):
        load_kernel(tmp_path / "kernel.cpp")
