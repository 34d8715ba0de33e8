"""pitch.py: pitches of known signals, and of real voices against librosa's pyin and pyworld's harvest."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import librosa
import numpy as np
import pytest
import pyworld
import soundfile

from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, Array, FeatureSpec
from rtvox.pitch import CONDITIONS, QUIET_DB, REST_HZ, PitchTracker, track
from rtvox.stft import Analyzer

RATE = MEL_SPEC.sample_rate
SETTLED = 12  # frames until the window is full
LATE = 768  # samples from the newest one back to the middle of what is compared, for a voice's pitches
VOICES = Path(__file__).resolve().parents[2] / "shared" / "data" / "voice"
GROUPS = ("kathleen-en", "flemishguy-nl", "vctk-4")
LOWEST_HZ = 70.0  # of a reader; below it both references take the rumble under a consonant for a voice


def cents(hz: np.ndarray, wanted: np.ndarray | float) -> np.ndarray:
    return np.asarray(1200.0 * np.log2(hz / wanted))


def partials(hz: np.ndarray, tilt: float = 1.0) -> Array:
    """Return a sound whose pitch (N,) glides, with partials up to 20 kHz; more tilt is darker."""
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    x = sum(np.sin(k * phase) / k**tilt * (k * hz < 20000.0) for k in range(1, 40))
    return np.asarray(0.2 * x, np.float32)


@pytest.mark.parametrize("hz", [62.0, 80.0, 110.0, 220.0, 440.0, 987.0, 1490.0])
@pytest.mark.parametrize("tilt", [0.0, 1.0, 8.0])  # a train of pulses, a saw, nearly a sine
def test_steady_pitches_are_exact(hz: float, tilt: float) -> None:
    got = track(partials(np.full(RATE // 2, hz), tilt))[SETTLED:]
    assert np.abs(cents(got[:, 0], hz)).max() < 3.0
    assert got[:, 1].min() > 0.95


def test_glottal_pulses(glottal: Array) -> None:
    got = track(glottal)[SETTLED:]
    assert np.abs(cents(got[:, 0], 200.0)).max() < 2.0
    assert got[:, 1].min() > 0.95


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_partial_that_is_missing_does_not_move_the_octave(missing: int) -> None:
    t = np.arange(RATE // 2) / RATE
    x = sum(np.sin(2 * np.pi * 150.0 * k * t) / k for k in range(1, 12) if k != missing)
    got = track(np.asarray(0.2 * x, np.float32))[SETTLED:]
    assert np.abs(cents(got[:, 0], 150.0)).max() < 5.0


@pytest.mark.parametrize("octaves_per_s", [-4.0, -1.0, 1.0, 4.0])
def test_a_glide_is_followed(octaves_per_s: float) -> None:
    hz = 300.0 * 2.0 ** (octaves_per_s * (np.arange(RATE // 2) / RATE - 0.25))
    got = track(partials(hz))[SETTLED:]
    middle = (np.arange(len(got)) + SETTLED + 1) * MEL_SPEC.hop - LATE
    assert np.abs(cents(got[:, 0], hz[middle])).max() < 50.0


def test_the_first_pitch_comes_within_30_ms() -> None:
    x = np.concatenate([np.zeros(RATE // 4, np.float32), partials(np.full(RATE // 4, 200.0))])
    got = track(x)
    first = np.flatnonzero(got[:, 1] > 0.5)[0]
    assert (first + 1) * MEL_SPEC.hop - RATE // 4 < 0.03 * RATE
    assert abs(cents(got[first, 0], 200.0)) < 50.0


def test_noise_has_no_pitch(noise: Array) -> None:
    assert (track(noise)[:, 1] > 0.5).mean() < 0.01


def test_silence_is_unvoiced_and_quiet(silence: Array) -> None:
    got = track(silence)
    np.testing.assert_array_equal(got, np.tile(np.array([REST_HZ, 0.0, QUIET_DB], np.float32), (len(got), 1)))


def test_after_the_sound_the_pitch_stays_and_voicing_goes(glottal: Array, silence: Array) -> None:
    got = track(np.concatenate([glottal, silence]))
    after = got[len(glottal) // MEL_SPEC.hop + SETTLED :]
    assert np.abs(cents(after[:, 0], 200.0)).max() < 50.0
    assert after[:, 1].max() == 0.0


def test_of_two_voices_it_hears_one_or_their_common_period(rng: np.random.Generator) -> None:
    n = np.full(RATE, 1.0)
    got = track(
        partials(200.0 * n) + 0.7 * partials(300.0 * n) + (0.001 * rng.standard_normal(RATE)).astype(np.float32)
    )
    near = np.abs(cents(got[SETTLED:, :1], np.array([100.0, 200.0, 300.0]))).min(1)
    assert (near < 50.0).mean() > 0.95
    assert np.all(np.isfinite(got))


@pytest.mark.parametrize(("hz", "weight_db"), [(100.0, -19.1), (1000.0, 0.0), (10000.0, -2.5)])
def test_loudness_is_a_weighted(hz: float, weight_db: float) -> None:
    x = np.sin(2 * np.pi * hz * np.arange(RATE // 4) / RATE).astype(np.float32)
    for level_db in (0.0, -40.0):
        got = track(x * np.float32(10.0 ** (level_db / 20.0)))[SETTLED:, CONDITIONS.index("loudness")]
        np.testing.assert_allclose(got, level_db + weight_db, atol=1.0)  # bins are 47 Hz apart


def test_pitch_does_not_depend_on_level_or_offset(glottal: Array) -> None:
    for x in (glottal * np.float32(0.03), glottal + np.float32(0.2)):
        got = track(x)[len(x) // MEL_SPEC.hop // 2 :]
        assert np.abs(cents(got[:, 0], 200.0)).max() < 5.0
        assert got[:, 1].min() > 0.9


@pytest.mark.parametrize(
    "spec", [FeatureSpec(hop=255, n_synthesis=510), FeatureSpec(sample_rate=16000, mel_high_hz=8e3)]
)
def test_a_framing_that_cannot_be_searched_is_refused(spec: FeatureSpec) -> None:
    with pytest.raises(ParameterError, match=f"hop={spec.hop} sample_rate={spec.sample_rate}"):
        PitchTracker(Analyzer(spec))


def test_it_keeps_no_memory_per_hop(noise: Array) -> None:
    analyzer = Analyzer(MEL_SPEC)
    tracker, hops = PitchTracker(analyzer), noise[: 150 * MEL_SPEC.hop].reshape(-1, MEL_SPEC.hop)
    for hop in hops[:50]:
        tracker.process(analyzer.process(hop))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for hop in hops[50:]:
        tracker.process(analyzer.process(hop))
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2000


@pytest.mark.skipif(not VOICES.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize("group", GROUPS)
def test_real_voices_have_the_pitch_that_pyin_and_harvest_agree_on(group: str) -> None:
    """Where both call a frame voiced and are within 60 cents of each other; frame by frame, so lag counts as error."""
    files = [path for path in sorted((VOICES / group).iterdir()) if path.suffix == ".opus"][5:7]
    errors, found, wrong = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
    for path in files:
        sound, rate = soundfile.read(path, dtype="float64", frames=48000 * 3)
        sound = librosa.resample(sound, orig_sr=rate, target_sr=RATE)
        got = track(sound.astype(np.float32))
        harvest = pyworld.harvest(sound, RATE, LOWEST_HZ, 1000.0, MEL_SPEC.hop * 1000.0 / RATE)[0]
        half, hop = librosa.resample(sound, orig_sr=RATE, target_sr=RATE // 2), MEL_SPEC.hop // 2
        pyin = librosa.pyin(half, sr=RATE // 2, fmin=LOWEST_HZ, fmax=1000.0, frame_length=1024, hop_length=hop)[0]
        pyin = np.nan_to_num(pyin)
        late = LATE // MEL_SPEC.hop - 1
        n = min(len(got) - late, len(harvest), len(pyin))
        got, harvest, pyin = got[late : late + n], harvest[:n], pyin[:n]
        voiced = (harvest > 0) & (pyin > 0)
        voiced[voiced] = np.abs(cents(harvest[voiced], pyin[voiced])) < 60.0
        heard = got[:, 1] > 0.5
        errors.append(cents(got[voiced & heard, 0], pyin[voiced & heard]))
        found.append(heard[voiced])
        wrong.append(heard[(harvest == 0) & (pyin == 0)])
    error = np.abs(np.concatenate(errors))
    assert len(error) > 100
    assert (error > 50.0).mean() < 0.05
    assert (error > 600.0).mean() < 0.02
    assert np.median(error) < 10.0
    assert np.concatenate(found).mean() > 0.9
    assert np.concatenate(wrong).mean() < 0.3
