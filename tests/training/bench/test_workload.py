"""Drawn images are like those of MNIST; MNIST that is asked for must be there."""

from types import SimpleNamespace

import numpy as np
import pytest

from bsnn.errors import DataError
from bsnn.inputs.encoding import encode_ttfs
from bsnn.settings import Settings
from bsnn.training.bench import workload
from bsnn.training.bench.workload import load_workload


def test_synthetic_input_is_as_much_as_that_of_mnist():
    model = Settings.reference("mnist").model()
    drawn = load_workload("synthetic", n_inputs=784, seed=0)
    inputs = encode_ttfs(drawn.images, model)
    assert inputs.n_spikes / inputs.n_samples == pytest.approx(150, rel=0.02)
    # Uniform over the 100 ms of the encoding: its quarters hold as many spikes.
    quarters = np.bincount(inputs.step // 25, minlength=5) / inputs.n_spikes
    np.testing.assert_allclose(quarters, [0.25, 0.25, 0.25, 0.25, 0], atol=0.01)


def test_mnist_that_is_asked_for_must_be_there(tmp_path, monkeypatch):
    with pytest.raises(DataError):
        load_workload("mnist", n_inputs=784, seed=0, data_dir=tmp_path)
    with pytest.raises(ValueError, match="'workload' must be mnist or synthetic"):
        load_workload("fashion", n_inputs=784, seed=0)
    drawn = load_workload(None, n_inputs=784, seed=0, data_dir=tmp_path)
    assert drawn.name == "synthetic"


@pytest.mark.parametrize("name", ["mnist", None])
def test_mnist_that_is_there_is_its_test_images(name, tmp_path, monkeypatch):
    images, labels = np.eye(3, 784, dtype=np.uint8), np.arange(3)
    there = SimpleNamespace(test_images=images, test_labels=labels)
    monkeypatch.setattr(workload, "load_dataset", lambda name, **_: there)
    found = load_workload(name, n_inputs=784, seed=0, data_dir=tmp_path)
    assert found.name == "mnist"
    assert found.images is images and found.labels is labels
    np.testing.assert_array_equal(found.batch(1, 2), [2, 0])
