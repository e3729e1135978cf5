"""Training images that are moved at random."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import bsnn
from bsnn.inputs.shifted import ShiftedSamples, check_shift, moved
from bsnn.settings import Settings
from bsnn.training.experiments import loop


@pytest.fixture(scope="module")
def digits():
    return bsnn.load_dataset("digits")


def test_images_are_moved_as_scipy_moves_them(rng):
    images = rng.integers(1, 255, (30, 5, 7)).astype(np.uint8)
    shifts = rng.integers(-3, 4, (30, 2))
    expected = [
        ndimage.shift(image, shift, order=0, mode="constant")
        for image, shift in zip(images, shifts, strict=True)
    ]
    found = moved(images, shifts)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == images.dtype
    np.testing.assert_array_equal(moved(images, np.zeros((30, 2), int)), images)


def test_every_shift_is_drawn_and_belongs_to_its_sample(digits):
    model = Settings.reference("digits").model()
    samples = digits.samples("train", bsnn.encode_ttfs, model)
    shifted = ShiftedSamples.drawn(samples, 1, [0, 3])
    kinds, counts = np.unique(shifted.shifts, axis=0, return_counts=True)
    assert len(kinds) == 9
    assert np.abs(counts / len(samples) - 1 / 9).max() < 0.04
    some = shifted.spikes(np.array([7, 2, 40]))
    alone = shifted.spikes(np.array([2]))
    np.testing.assert_array_equal(some.select(1, 2).neuron, alone.neuron)
    np.testing.assert_array_equal(some.select(1, 2).step, alone.step)
    image = moved(digits.train_images[2:3], shifted.shifts[2:3])
    np.testing.assert_array_equal(
        np.sort(alone.neuron), np.flatnonzero(image.reshape(-1))
    )
    np.testing.assert_array_equal(shifted.labels, digits.train_labels)


@pytest.mark.parametrize(
    ("name", "shift", "message"),
    [
        ("yin-yang", 1, "'max_shift' must be 0 where samples are no images of rows"),
        ("evidence", 1, "'max_shift' must be 0 where samples are no images of rows"),
        ("digits", 8, "'max_shift' must be less than the 8 pixels of an image of UCI"),
    ],
)
def test_what_cannot_be_moved_is_refused(name, shift, message):
    dataset = bsnn.load_dataset(name)
    with pytest.raises(ValueError, match=message):
        check_shift(shift, dataset)
    check_shift(0, dataset)


def test_settings_refuse_it_with_their_data_set(digits):
    settings = Settings.reference("digits", max_shift=8)
    with pytest.raises(ValueError, match="'max_shift' must be less than"):
        settings.check_dataset(digits)
    with pytest.raises(ValueError, match="'max_shift' must not be negative"):
        Settings.reference("digits", max_shift=-1)


def test_an_epoch_moves_what_is_trained_on_and_nothing_else(digits):
    settings = Settings.reference("digits", max_shift=1, validation=0.1)
    settings = settings.of(digits)
    parts = loop._parts(digits, settings)

    class Network:
        model, weights = settings.model(), [loop.torch.nn.Parameter(loop.torch.ones(1))]

    def trainer(settings):
        return loop._Trainer(settings, Network(), None, digits, None, parts, None)

    still, moving = trainer(replace(settings, max_shift=0)), trainer(settings)
    some = np.arange(50)

    def inputs(samples):
        return samples.spikes(some).neuron.tolist()

    plain = inputs(still.train_samples)
    assert inputs(still._samples(1)) == plain == inputs(moving.train_samples)
    first, again, second = (inputs(moving._samples(e)) for e in (1, 1, 2))
    assert first == again
    assert len({str(x) for x in (plain, first, second)}) == 3
    for name in ("validation_samples", "test_samples"):
        assert inputs(getattr(moving, name)) == inputs(getattr(still, name))
