"""Time-to-first-spike encoding, against its formula, Brian2 and physics."""

import math
import os
import re
import warnings

import brian2
import numpy as np
import pytest
from brian2 import ms
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bsnn import Spikes, encode_ttfs, load_dataset
from bsnn.gate import spikes_for
from tests.models import study_model

DT_MS = [0, 0.1, 0.5, 1, 2, 3, 7, 8]
PIXELS = 12
images_uint8 = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 4), st.just(PIXELS)),
    elements=st.integers(0, 255),
)
time_steps = st.sampled_from(DT_MS)


def make_model(dt_ms, *, n_inputs=PIXELS, rule=None, duration=200 * ms):
    return study_model([n_inputs, 2], 1.0, dt=dt_ms * ms, duration=duration, rule=rule)


def slow_spikes(images, dt_ms, t_max_ms=100):
    """Return (sample, bin or time in ms, neuron), pixel by pixel from the definition.

    In units of ms/255 a grey level's time is a whole number, so that the bin follows
    from integers alone when dt is a whole number of tenths of a millisecond. No grey
    level comes so close before the end of a bin that Brian2's shift of the bins would
    matter.
    """
    spikes = []
    for sample, image in enumerate(images.reshape(len(images), -1)):
        for neuron, x in enumerate(image):
            if x == 0:
                continue
            ticks = t_max_ms * (255 - int(x))
            ticks_per_bin = round(10 * dt_ms) * 255
            when = 10 * ticks // ticks_per_bin if dt_ms else ticks / 255
            spikes.append((sample, when, neuron))
    return sorted(spikes)


@given(images=images_uint8, dt_ms=time_steps)
def test_equals_the_definition_pixel_by_pixel(images, dt_ms):
    expected = slow_spikes(images, dt_ms)
    spikes = encode_ttfs(images, make_model(dt_ms))
    assert spikes.sample.tolist() == [sample for sample, _, _ in expected]
    assert spikes.neuron.tolist() == [neuron for _, _, neuron in expected]
    when = [when for _, when, _ in expected]
    if dt_ms == 0:
        assert spikes.step is None
        # Rounding of times below 0.1 s in double precision.
        np.testing.assert_allclose(spikes.time * 1e3, when, rtol=0, atol=1e-12)
    else:
        assert spikes.time is None
        assert spikes.step.tolist() == when


@given(images=images_uint8, dt_ms=time_steps)
def test_integers_and_floats_of_the_same_value_spike_alike(images, dt_ms):
    model = make_model(dt_ms)
    grey = encode_ttfs(images, model)
    for kind in (np.int64, np.float32, np.float64):
        if np.issubdtype(kind, np.floating) and images.max() <= 1:
            continue  # refused: it looks like an image scaled to 0..1
        other = encode_ttfs(images.astype(kind), model)
        np.testing.assert_array_equal(other.arrival, grey.arrival)
        np.testing.assert_array_equal(other.neuron, grey.neuron)
        np.testing.assert_array_equal(other.offset, grey.offset)


@given(images=images_uint8)
def test_each_lit_pixel_spikes_once_and_dark_ones_are_silent(images):
    spikes = encode_ttfs(images, make_model(1))
    np.testing.assert_array_equal(spikes.counts(), images > 0)


def arrivals(images, model):
    """Return the arrival of each pixel's spike in seconds, infinite for silent ones."""
    spikes = encode_ttfs(images, model)
    table = np.full((spikes.n_samples, spikes.n_neurons), np.inf)
    table[spikes.sample, spikes.neuron] = spikes.arrival
    return table


@given(images=images_uint8, dt_ms=time_steps, data=st.data())
def test_darker_is_never_earlier(images, dt_ms, data):
    darker = data.draw(hnp.arrays(np.uint8, images.shape, elements=st.integers(0, 255)))
    darker = np.minimum(images, darker)
    model = make_model(dt_ms)
    assert np.all(arrivals(darker, model) >= arrivals(images, model))


@given(images=images_uint8, dt_ms=time_steps, seed=st.integers(0, 99))
def test_permuting_pixels_permutes_neurons(images, dt_ms, seed):
    order = np.random.default_rng(seed).permutation(PIXELS)
    model = make_model(dt_ms)
    np.testing.assert_array_equal(
        arrivals(images[:, order], model), arrivals(images, model)[:, order]
    )


@given(images=images_uint8, dt_ms=st.sampled_from(DT_MS[1:]))
def test_the_grid_delays_by_one_bin_at_most(images, dt_ms):
    exact = arrivals(images, make_model(0))
    for rule in ("grid", "quantised-event"):
        on_grid = arrivals(images, make_model(dt_ms, rule=rule))
        lit = images > 0
        delay = (on_grid[lit] - exact[lit]) / (dt_ms * 1e-3)
        assert np.all(delay > 0)
        # Brian2's bins begin 1e-3 dt early; 1e-9 covers rounding.
        assert np.all(delay <= 1 + 1e-3 + 1e-9)


@pytest.mark.parametrize("dt_ms", [0.1, 0.5, 1, 4, 7])
def test_bins_are_those_of_brian2(dt_ms):
    levels = np.arange(1, 256)
    group = brian2.SpikeGeneratorGroup(
        255, np.arange(255), 100 * (1 - levels / 255) * ms, dt=dt_ms * ms
    )
    monitor = brian2.SpikeMonitor(group)
    network = brian2.Network(group, monitor)
    saved = brian2.prefs.codegen.target
    brian2.prefs.codegen.target = "numpy"
    try:
        network.run(101 * ms, namespace={})
    finally:
        brian2.prefs.codegen.target = saved
    in_brian = np.rint(monitor.t / (dt_ms * ms)).astype(int)
    spikes = encode_ttfs(levels[None], make_model(dt_ms, n_inputs=255))
    assert spikes.n_spikes == len(in_brian) == 255
    ours, theirs = np.empty(255, int), np.empty(255, int)
    ours[spikes.neuron] = spikes.step
    theirs[monitor.i] = in_brian
    np.testing.assert_array_equal(ours, theirs)


def test_the_faintest_light_stays_in_its_sample():
    # 1e-9 of full intensity comes 2e-10 s before the end: nearer to it than the shift
    # of the bins, yet it must not slip into the next sample.
    model = make_model(1)
    images = np.zeros((2, PIXELS))
    images[0, 0], images[1, 1] = 1e-9 * 255, 255
    spikes = encode_ttfs(images, model, t_max=200 * ms)
    assert spikes.step.tolist() == [model.n_steps - 1, 0]


@pytest.mark.parametrize("dt_ms", [0, 1, 7])
def test_light_of_any_intensity_passes_the_gate(dt_ms):
    """Also one so faint that its time rounds to the end of the sample itself."""
    model = make_model(dt_ms)
    images = np.full((1, PIXELS), 255.0)
    images[0, 3], images[0, 7] = 1e-20, 1e-9
    spikes = encode_ttfs(images, model, t_max=200 * ms)
    assert spikes_for(model, spikes).n_spikes == PIXELS
    # In order, each once: as those given by hand have to be.
    when = {"time": spikes.time} if dt_ms == 0 else {"step": spikes.step}
    fields = {name: getattr(spikes, name) for name in ("neuron", "offset", "n_neurons")}
    Spikes(**fields, **when, dt=spikes.dt)


def test_t_max_scales_the_times():
    images = np.array([[51, 255]], np.uint8)
    model = make_model(0, n_inputs=2)
    spikes = encode_ttfs(images, model, t_max=50 * ms)
    assert spikes.neuron.tolist() == [1, 0]
    np.testing.assert_allclose(spikes.time, [0, 0.04], rtol=1e-12)


@pytest.mark.parametrize("dt_ms", [0, 1])
def test_dark_and_absent_images_give_no_spikes(dt_ms):
    for n_samples in (0, 3):
        for kind in (np.uint8, float):
            spikes = encode_ttfs(np.zeros((n_samples, PIXELS), kind), make_model(dt_ms))
            assert spikes.n_spikes == 0
            assert spikes.offset.tolist() == [0] * (n_samples + 1)


def test_many_samples_keep_their_order():
    # More samples than an 8-bit or a 16-bit sort key can count.
    n_samples = 70_000
    images = np.zeros((n_samples, 2), np.uint8)
    images[:, 0], images[:, 1] = 100, 200
    spikes = encode_ttfs(images, make_model(1, n_inputs=2))
    assert spikes.offset.tolist() == list(range(0, 2 * n_samples + 1, 2))
    np.testing.assert_array_equal(spikes.neuron, np.tile([1, 0], n_samples))


def test_arrays_have_the_kinds_that_spikes_promise():
    for dt_ms in (0, 1):
        for kind in (np.uint8, float):
            image = np.array([[3, 200]], kind)
            spikes = encode_ttfs(image, make_model(dt_ms, n_inputs=2))
            assert spikes.neuron.dtype == np.int32
            assert spikes.offset.dtype == np.int64
            when = spikes.time if dt_ms == 0 else spikes.step
            assert when.dtype == (np.float64 if dt_ms == 0 else np.int64)
            assert spikes.dt == dt_ms * 1e-3


def test_every_yin_yang_feature_spikes():
    # A feature of 0 means the latest time, not silence: none may be lost.
    images = load_dataset("yin-yang").train_images
    spikes = encode_ttfs(images, make_model(1, n_inputs=4))
    assert np.all(spikes.counts() == 1)


@pytest.mark.skipif(not os.environ.get("BSNN_DATA"), reason="BSNN_DATA is not set")
def test_real_images_equal_the_definition():
    images = load_dataset("mnist").test_images[:5]
    spikes = encode_ttfs(images, make_model(2, n_inputs=784))
    found = zip(spikes.sample, spikes.step, spikes.neuron, strict=True)
    assert [tuple(map(int, spike)) for spike in found] == slow_spikes(images, 2)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 5)), r"12 pixels a sample to fit the model, got \(2, 5\)\.$"),
        (np.zeros(PIXELS), r"got \(12,\); put a single image .* images\[None\]"),
        (np.full((1, PIXELS), -1.0), r"in 0\.\.255, got -1\.0\.\.-1\.0"),
        (np.full((1, PIXELS), 256), r"in 0\.\.255, got 256\.\.256"),
        (np.full((1, PIXELS), math.nan), r"in 0\.\.255, got nan\.\.nan"),
        (np.full((1, PIXELS), math.inf), r"in 0\.\.255, got inf\.\.inf"),
        (np.full((1, PIXELS), 0.5), r"none above 1; multiply .* by 255"),
    ],
)
def test_refuses_what_is_no_batch_of_intensities(images, message):
    with pytest.raises(ValueError, match=message):
        encode_ttfs(images, make_model(1))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.full((1, PIXELS), "a"), "got <U1"),
        (np.ones((1, PIXELS), bool), "got bool; multiply them by 255"),
        (np.ones((1, PIXELS), complex), "got complex128"),
        (np.full((1, PIXELS), None), "got object"),
    ],
)
def test_refuses_what_is_no_number(images, words):
    words = f"'images' must be an array of numbers, {words}"
    with pytest.raises(TypeError, match=words):
        encode_ttfs(images, make_model(1))


@pytest.mark.parametrize(
    ("white", "kind"),
    [(1, np.int64), (1, np.uint8), (16, float), (16, np.uint8), (16, np.int32)],
)
def test_images_of_another_scale_are_told_once(white, kind, rng):
    """0/1 images, and 0..16 as in scikit-learn's digits, would all spike at the end."""
    images = rng.integers(0, white + 1, (40, PIXELS)).astype(kind)
    images[:, 0] = white
    model = make_model(1)
    words = rf"in 0\.\.255, got none above {white}: .*multiply them by 255/{white}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for batch in np.split(images, 4):
            encode_ttfs(batch, model)
    assert len(caught) == 1
    assert re.search(words, str(caught[0].message))
    encode_ttfs(images * (255 / white), model)  # as it says: no warning, so no error


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_dark_images_of_the_right_scale_are_not_told(kind):
    images = np.zeros((50, PIXELS), kind)
    images[:4, :3] = 7  # four of a batch that is black otherwise
    encode_ttfs(images, make_model(1))
    images[:, :3] = 7  # all of it, but for one pixel
    images[30, 5] = 17
    encode_ttfs(images, make_model(1))
    encode_ttfs(images[:1], make_model(1))


def test_refuses_impossible_latest_times():
    image = np.full((1, PIXELS), 9, np.uint8)
    with pytest.raises(
        ValueError, match="'t_max' must not exceed .* 0.05 s, got 100. ms"
    ):
        encode_ttfs(image, make_model(1, duration=50 * ms))
    with pytest.raises(ValueError, match="'t_max' must be positive"):
        encode_ttfs(image, make_model(1), t_max=0 * ms)
    with pytest.raises(TypeError, match="'t_max' must be a Brian2 quantity"):
        encode_ttfs(image, make_model(1), t_max=0.1)
