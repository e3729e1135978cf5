"""A small bench, which the tests share."""

import pytest

from bsnn.inputs.encoding import encode_ttfs
from bsnn.settings import Settings
from bsnn.training.bench import peers
from bsnn.training.bench.workload import load_workload

TINY = Settings.reference(
    "mnist",
    layers=(20, 30, 10),
    v_threshold=(0.04, 0.1),
    dt_ms=5.0,
    batch_size=4,
    workers=2,
    precision="double",
)


@pytest.fixture(scope="session")
def workload():
    return load_workload("synthetic", n_inputs=20, seed=1)


@pytest.fixture
def batch(workload):
    model = TINY.model()
    images = workload.images[:4]
    return model, encode_ttfs(images, model), workload.labels[:4]


@pytest.fixture
def install_snntorch(tmp_path, monkeypatch):
    """Return a function that puts a module of this text in place of snnTorch 9.9."""

    def install(text):
        (tmp_path / "snntorch.py").write_text(text)
        (tmp_path / "snntorch-9.9.dist-info").mkdir()
        metadata = "Metadata-Version: 2.1\nName: snntorch\nVersion: 9.9\n"
        (tmp_path / "snntorch-9.9.dist-info" / "METADATA").write_text(metadata)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(peers, "is_installed", lambda name: True)

    return install
