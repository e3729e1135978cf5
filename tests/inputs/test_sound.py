"""Sound: WAV files, mel bands, spoken digits."""

import struct
import tracemalloc
import wave

import numpy as np
import pytest
from brian2 import Hz, kHz, ms
from hypothesis import given
from hypothesis import strategies as st

from bsnn import TimedDataset, load_dataset
from bsnn.errors import DataError
from bsnn.inputs.mel import Mel
from bsnn.inputs.wav import WaveFiles, read_wave
from bsnn.inputs.waves import Waves

RATE = 8000


def write_wav(path, values, rate=RATE, channels=1, width=2):
    """Write whole numbers as a WAV file with Python's own writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {1: "u1", 2: "<i2", 4: "<i4"}.get(width)
    data = bytes(width * len(values)) if kind is None else np.array(values).astype(kind)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(data))
    return path


def tone(frequency, seconds=0.2, amplitude=1.0, rate=RATE):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(seconds * rate) / rate)


# --- files ----------------------------------------------------------------------------


def write_words(folder, splits=("train", "test"), labels=("10", "2", "no")):
    """Write as many sounds of a label as its name is long; one more for training."""
    for split in splits:
        for label in labels:
            for k in range(len(label) + (split == "train")):
                path = folder / "words" / split / label / f"{k}.WAV"
                write_wav(path, np.arange(1, 2000 + 100 * k))


def test_a_folder_of_ones_own_has_a_folder_for_each_label(tmp_path):
    write_words(tmp_path)
    (tmp_path / "words" / "train" / ".hidden").mkdir()
    dataset = load_dataset("words", data_dir=tmp_path)
    assert (dataset.n_classes, dataset.title) == (3, "words")
    # "2" before "10", then words; one of each, then the second of each.
    assert dataset.train_labels.tolist() == [0, 1, 2, 0, 1, 2, 1, 2]
    assert dataset.test_labels.tolist() == [0, 1, 2, 1, 2]
    paths = [path.parent.name for path in dataset.train.paths]
    assert paths == ["2", "10", "no", "2", "10", "no", "10", "no"]
    assert len(dataset.train.take(np.array([6])).waves[0]) == 2199


def test_what_a_folder_of_sound_must_not_hold_is_named(tmp_path):
    write_words(tmp_path)
    extra = tmp_path / "words" / "test" / "no" / "notes.txt"
    extra.write_text("x")
    with pytest.raises(DataError, match="notes.txt must be a WAV file, .*; convert"):
        load_dataset("words", data_dir=tmp_path)
    extra.unlink()
    (tmp_path / "words" / "train" / "maybe").mkdir()
    with pytest.raises(DataError, match="maybe must hold WAV files, got none"):
        load_dataset("words", data_dir=tmp_path)
    write_wav(tmp_path / "words" / "train" / "maybe" / "1.wav", [1, 2])
    with pytest.raises(DataError, match="the same labels .* maybe is in one of them"):
        load_dataset("words", data_dir=tmp_path)


def test_a_split_without_sound_is_named(tmp_path):
    write_words(tmp_path, splits=["train"])
    with pytest.raises(DataError, match="test must hold a folder of WAV files for eac"):
        load_dataset("words", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("width", "values", "expected"),
    [
        (1, [0, 128, 192, 255], [-1, 0, 0.5, 127 / 128]),
        (2, [-32768, 0, 16384, 32767], [-1, 0, 0.5, 32767 / 32768]),
        (4, [-(2**31), 0, 2**30], [-1, 0, 0.5]),
    ],
)
def test_samples_lie_between_minus_one_and_one(tmp_path, width, values, expected):
    found, rate = read_wave(write_wav(tmp_path / "x.wav", values, width=width))
    assert (found.tolist(), rate) == (expected, RATE)


def test_files_are_read_in_any_order(tmp_path):
    paths = [write_wav(tmp_path / f"{k}.wav", [k] * (k + 1)) for k in range(4)]
    files = WaveFiles(paths, Mel())
    assert (len(files), files.longest) == (4, 4 / RATE)
    waves = files.take(np.array([3, 0, 3]))
    assert [len(w) for w in waves.waves] == [4, 1, 4]
    assert waves.waves[0][0] == 3 / 32768


def test_what_is_no_mono_wav_is_named(tmp_path):
    good = write_wav(tmp_path / "good.wav", range(100))
    cases = {
        "stereo": (
            write_wav(tmp_path / "stereo.wav", range(10), channels=2),
            "mono, .*2",
        ),
        "deep": (write_wav(tmp_path / "deep.wav", range(9), width=3), "got 24 bits"),
        "none": (write_wav(tmp_path / "none.wav", []), "hold sound, got none"),
        "other": (
            write_wav(tmp_path / "other.wav", [1], rate=16000),
            "rate of good.wav",
        ),
    }
    for name, (path, words) in cases.items():
        with pytest.raises(DataError, match=f"{name}.wav must .*{words}.*; "):
            WaveFiles([good, path], Mel())
    content = good.read_bytes()
    path = tmp_path / "bad.wav"
    for bad, words in (
        (b"", "got: an early end"),
        (b"<html>not found</html>", "got: file does not start with RIFF"),
        (content[:30], "intact WAV"),
        (content[:20] + struct.pack("<H", 3) + content[22:], "unknown format: 3"),
    ):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=f"bad.wav must be .*{words}.*; fetch"):
            WaveFiles([path], Mel())
    path.write_bytes(content[:-20])
    with pytest.raises(DataError, match=r"bad.wav must hold 100 samples.*truncated"):
        read_wave(path)
    with pytest.raises(DataError, match="nowhere.wav must be a readable file, got: No"):
        WaveFiles([tmp_path / "nowhere.wav"], Mel())


def test_claimed_sizes_reserve_no_memory(tmp_path):
    path = write_wav(tmp_path / "x.wav", range(100))
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", 2**31)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="must hold 1073741824 samples .*truncated"):
            read_wave(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


# --- mel bands ------------------------------------------------------------------------


@pytest.mark.parametrize("band", [3, 17, 38])
def test_a_tone_is_loudest_in_its_band(band):
    mel = Mel(range_db=80)
    frequency = mel.edges(RATE)[band + 1]
    loudness = mel.loudness(tone(frequency), RATE)
    assert loudness.shape == (20, 40)
    inner = loudness[2:-2]
    assert (inner.argmax(axis=1) == band).all()
    assert loudness.max() == 1
    # 80 dB below it, far away, is nothing; Hann's side lobes fall by 18 dB an octave.
    assert inner[:, (band + 20) % 40].max() < 0.3


@pytest.mark.parametrize("decibels", [10, 20, 40])
def test_loudness_counts_decibels(decibels):
    mel = Mel(range_db=80)
    loud, faint = mel.edges(RATE)[[30, 12]]
    wave = tone(loud) + tone(faint, amplitude=10 ** (-decibels / 20))
    alone = tone(loud) + tone(faint)
    both = [mel.loudness(w, RATE)[5:15, [29, 11]] for w in (alone, wave)]
    fall = (both[0] - both[1])[:, 1] * mel.range_db
    # The loudest of all is the loud tone or, of equal tones, either.
    offset = (both[0] - both[1])[:, 0] * mel.range_db
    np.testing.assert_allclose(fall - offset, decibels, atol=0.3)


@given(gain=st.floats(1e-3, 1e3), n=st.integers(1, 700), seed=st.integers(0, 99))
def test_loudness_knows_no_gain_and_covers_the_wave(gain, n, seed):
    wave = np.random.default_rng(seed).normal(size=n)
    loudness = Mel().loudness(wave, RATE)
    assert loudness.shape == (-(-n // 80), 40)
    assert 0 <= loudness.min() and loudness.max() == 1
    np.testing.assert_allclose(Mel().loudness(gain * wave, RATE), loudness, atol=1e-9)


def test_a_click_lies_in_its_frame():
    wave = np.zeros(RATE // 5)
    wave[12 * 80 + 40] = 1  # the middle of frame 12
    loudness = Mel().loudness(wave, RATE).sum(axis=1)
    assert loudness.argmax() == 12
    np.testing.assert_allclose(loudness[11], loudness[13], rtol=1e-6)
    assert not loudness[:10].any() and not loudness[15:].any()


def test_silence_is_not_loud():
    assert not Mel().loudness(np.zeros(1000), RATE).any()


def test_bands_lie_on_the_mel_scale():
    edges = Mel(lowest=100 * Hz, highest=3 * kHz, n_bands=3).edges(RATE)
    assert edges[[0, -1]] == pytest.approx([100, 3000], rel=1e-12)
    mels = 1127.01048 * np.log(1 + edges / 700)  # the same scale, as often written
    assert np.diff(mels) == pytest.approx(np.diff(mels)[0], rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"highest": 5 * kHz}, "'highest' must lie .* half of the sampling rate"),
        ({"lowest": 4.1 * kHz}, "'highest' must lie above 'lowest', 4100"),
        ({"n_bands": 300}, "'n_bands' must be less than 300 .*longer 'window'"),
        ({"frame": 0.11 * ms}, "'frame' must be a whole number of samples .* 0.88"),
        ({"range_db": 0}, "'range_db' must be positive"),
    ],
)
def test_impossible_bands_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        Mel(**changes).loudness(np.ones(1000), RATE)


@pytest.mark.parametrize(
    ("wave", "words"),
    [
        (
            np.zeros((9, 2)),
            r"one-dimensional each, got shape \(9, 2\) of sample 1; take",
        ),
        ([], "must not be empty, got sample 1 without sound"),
        ([np.nan], "must be finite, got sample 1"),
    ],
)
def test_what_is_no_wave_is_named(wave, words):
    with pytest.raises(ValueError, match=words):
        Waves(waves=[[0.5], wave], rate=RATE * Hz)


# --- spoken digits --------------------------------------------------------------------


def write_digits(folder, numbers=(0, 4, 5, 49)):
    for digit in range(10):
        for speaker in ("ann", "bob"):
            for n in numbers:
                values = [100 * digit + n] * (200 + 10 * digit)
                write_wav(folder / f"{digit}_{speaker}_{n}.wav", values)


@pytest.mark.parametrize(
    "folder", ["fsdd/recordings", "recordings", "free-spoken-digit-dataset/recordings"]
)
def test_the_split_is_the_official_one(tmp_path, folder):
    write_digits(tmp_path / folder)
    dataset = load_dataset("spoken-digits", data_dir=tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (40, 40)
    assert (dataset.n_inputs, dataset.n_classes) == (40, 10)
    assert dataset.duration / ms == 40  # 290 samples are 36.25 ms, frames are whole
    for split, numbers in (("train", {5, 49}), ("test", {0, 4})):
        waves = getattr(dataset, split).take(np.arange(40))
        labels = getattr(dataset, f"{split}_labels")
        values = np.array([round(32768 * w[0]) for w in waves.waves])
        assert set(values % 100) == numbers
        assert (values // 100 == labels).all()
    assert sorted(dataset.head(20).train_labels) == sorted([*range(10)] * 2)


def test_recordings_of_other_names_and_none_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"needs its recordings in .*fsdd.*; clone http"
    ):
        load_dataset("spoken-digits", data_dir=tmp_path)
    write_digits(tmp_path / "fsdd" / "recordings", numbers=[7])
    with pytest.raises(DataError, match="must hold recordings for test, got none"):
        load_dataset("spoken-digits", data_dir=tmp_path)
    write_wav(tmp_path / "fsdd" / "recordings" / "seven.wav", [1])
    with pytest.raises(
        DataError, match="seven.wav must be called DIGIT_SPEAKER_NUMBER"
    ):
        load_dataset("spoken-digits", data_dir=tmp_path)


def test_files_of_ones_own(tmp_path):
    paths = [write_wav(tmp_path / f"{k}.wav", [1] * 800) for k in range(3)]
    dataset = TimedDataset.from_wave_files(
        paths[:2], [0, 1], paths[2:], [1], mel=Mel(n_bands=16)
    )
    assert (dataset.n_inputs, dataset.n_classes, dataset.code) == (16, 2, "rate")
    with pytest.raises(ValueError, match="'train_labels' must have shape"):
        TimedDataset.from_wave_files(paths[:2], [0], paths[2:], [1])
    other = write_wav(tmp_path / "other.wav", [1], rate=11025)
    with pytest.raises(DataError, match="other.wav must have .* 8000 Hz, got 11025 Hz"):
        TimedDataset.from_wave_files(paths, [0, 1, 0], [other], [1])
