"""The CUDA target: refused without a GPU, generated, emulated on the host, compiled."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from brian2 import ms

from bsnn.cli.main import main
from bsnn.errors import BackendUnavailable, ProgramError
from bsnn.machine import find_gpus
from bsnn.program.build import generate
from bsnn.simulators.choose import make_simulator
from bsnn.simulators.grid import GridSimulator
from bsnn.targets.cuda.target import CudaTarget
from bsnn.targets.cuda.tools import find_nvcc, find_packaged_curand
from tests.models import draw, grid_model, study_model
from tests.targets.cuda_on_host import compile_for_host

NO_BRIAN2CUDA = importlib.util.find_spec("brian2cuda") is None
NO_GPU = not find_gpus()
COMPILE_LIMIT = 300  # seconds of the processor, whatever else it does
needs_brian2cuda = pytest.mark.skipif(
    NO_BRIAN2CUDA, reason="brian2cuda is not installed"
)
needs_gpu = pytest.mark.skipif(
    NO_GPU or NO_BRIAN2CUDA, reason="no GPU, or brian2cuda is not installed"
)
ROOT = Path(__file__).parents[2]


GENERATOR = "bsnn.targets.cuda.target"


def wide_model():
    # More neurons than a block has threads, and not a multiple of them.
    return study_model([20, 300, 6], [0.12, 0.4], dt=4 * ms)


class EmulatedTarget(CudaTarget):
    """The CUDA target with its program compiled for the host, in a folder."""

    def __init__(self, folder, replicas):
        super().__init__(replicas=replicas, arch=9.0)
        object.__setattr__(self, "folder", folder)

    def here(self):
        return self

    def build(self, model, *, precision, projection):
        if not (self.folder / "main").exists():
            specification = self.specify(model, precision=precision)
            generate(GENERATOR, specification, self.folder)
            compile_for_host(self.folder)
        return self.folder


def assert_equal_records(ours, theirs, rtol):
    for one, other in zip(ours, theirs, strict=True):
        assert other.n_spikes > 0
        np.testing.assert_array_equal(one.offset, other.offset)
        np.testing.assert_array_equal(one.step, other.step)
        np.testing.assert_array_equal(one.neuron, other.neuron)
        for name, values in other.state.items():
            np.testing.assert_allclose(one.state[name], values, rtol=rtol, atol=rtol)


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_cuda_without_gpu_is_refused():
    with pytest.raises(BackendUnavailable, match="no GPU was found.*nvidia-smi"):
        make_simulator(grid_model(), device="cuda")


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_command_without_gpu_is_refused(capsys, tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "run"
    assert main(["train", "digits", "--device", "cuda", "--out", str(out)]) == 1
    assert "no GPU was found" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_gpu_check_without_gpu_is_refused():
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "gpu_check.py"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "no GPU was found" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"projection": "synapses"}, "'projection' must be one of dense, got 'syn"),
        ({"device": "tpu"}, "'device' must be one of cpp, cuda"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_simulator(grid_model(), **{"device": "cuda", **options})


def test_event_rules_are_refused():
    model = study_model([2, 2], [1], dt=0 * ms, rule="continuous")
    with pytest.raises(ValueError, match="'device' must be 'cpp' under the rule"):
        make_simulator(model, device="cuda")


@pytest.mark.cuda_build
@pytest.mark.cpp
@needs_brian2cuda
@pytest.mark.parametrize(
    ("n_replicas", "precision", "name"),
    [(4, "double", "wide"), (3, "single", "three layers")],
)
def test_emulated_program_equals_cpp(
    rng, tmp_path, monkeypatch, n_replicas, precision, name
):
    # 10 samples leave the last trial with idle replicas, and have more spikes than the
    # program has room for; 2 leave the first trial so, 3 fewer. Weak weights need no
    # more room than strong ones before them.
    model = wide_model() if name == "wide" else grid_model(name)
    rtol = {"double": 1e-9, "single": 1e-4}[precision]
    batches = [draw(model, rng, n_samples) for n_samples in (2, 3, 10, 2)]
    for weight in batches[1][0]:
        weight *= 0.6
    target = EmulatedTarget(tmp_path, n_replicas)
    with GridSimulator(model, workers=1, precision=precision) as cpp:
        expected = [cpp.run(*batch) for batch in batches]
    for graph in ("1", "0"):
        monkeypatch.setenv("BSNN_CUDA_GRAPH", graph)
        with GridSimulator(model, target, precision=precision) as cuda:
            for batch, records in zip(batches, expected, strict=True):
                assert_equal_records(cuda.run(*batch), records, rtol)
            weights, inputs = batches[0]
            for record in cuda.run(weights, inputs.select(0, 0)):
                assert (record.n_samples, record.n_spikes) == (0, 0)
    monkeypatch.setenv("BSNN_CUDA_GRAPH", "yes")
    with (
        GridSimulator(model, target, precision=precision) as cuda,
        pytest.raises(ProgramError, match="BSNN_CUDA_GRAPH must be 0 or 1, got yes"),
    ):
        cuda.run(*batches[0])


@pytest.mark.cuda_build
@pytest.mark.slow
@needs_brian2cuda
@pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not installed")
@pytest.mark.skipif(
    find_packaged_curand() is None, reason="nvidia-curand is not installed"
)
def test_smallest_program_compiles_and_links():
    start = os.times()
    folder = CudaTarget(replicas=2, arch=9.0).build(grid_model())
    assert (folder / "main").stat().st_mode & 0o100
    stop = os.times()
    spent = stop.children_user + stop.children_system
    assert spent - start.children_user - start.children_system < COMPILE_LIMIT


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("replicas", [1, 16, 256])
def test_gpu_equals_cpp(rng, replicas):
    model = grid_model()
    weights, inputs = draw(model, rng, 300)
    with (
        GridSimulator(model, CudaTarget(replicas=replicas)) as cuda,
        GridSimulator(model, workers=1) as cpp,
    ):
        assert_equal_records(cuda.run(weights, inputs), cpp.run(weights, inputs), 1e-9)
