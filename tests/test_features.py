"""features.py against closed forms, librosa and scipy."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from scipy.fft import dct

from rtvox.errors import ParameterError
from rtvox.features import (
    MEL_SPEC,
    Array,
    FeatureSpec,
    hz_from_mel,
    log_mel,
    log_mel_of_spectrum,
    mel_filterbank,
    mel_from_hz,
    mfcc,
)

SPECS = {
    "house": FeatureSpec(),
    "short": FeatureSpec(n_fft=1024, n_mels=128),
    "symmetric": FeatureSpec(n_fft=512, n_mels=40),
    "half hop, 50 Hz to 16 kHz": FeatureSpec(
        n_fft=2048, n_synthesis=256, hop=128, mel_low_hz=50.0, mel_high_hz=16000.0
    ),
    "16 kHz": FeatureSpec(sample_rate=16000, n_fft=512, n_synthesis=256, hop=128, mel_high_hz=8000.0),
}
LOW_DELAY = dict(SPECS)
SPECS |= {"mel": MEL_SPEC, "mel, eightfold": FeatureSpec(n_fft=2048, n_synthesis=2048)}
low_delay_specs = pytest.mark.parametrize("spec", LOW_DELAY.values(), ids=LOW_DELAY.keys())
specs = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())


@low_delay_specs
def test_window_pair_multiplies_to_a_hann_window_that_overlap_adds_to_one(spec: FeatureSpec) -> None:
    product = spec.analysis_window()[-spec.n_synthesis :].astype(np.float64) * spec.synthesis_window()
    n = np.arange(spec.n_synthesis)
    np.testing.assert_allclose(product, np.sin(np.pi * (n + 0.5) / spec.n_synthesis) ** 2, atol=1e-7)
    np.testing.assert_allclose(product[: spec.hop] + product[spec.hop :], 1.0, atol=2e-7)


@low_delay_specs
def test_analysis_window_rises_long_and_falls_within_a_hop(spec: FeatureSpec) -> None:
    window = spec.analysis_window()
    assert window.shape == (spec.n_fft,)
    assert np.all(np.diff(window[: -spec.hop]) > 0)
    assert np.all(np.diff(window[-spec.hop :]) < 0)
    assert np.all(window > 0)
    assert not window.flags.writeable


@pytest.mark.parametrize("spec", [MEL_SPEC, SPECS["mel, eightfold"]], ids=["mel", "eightfold"])
def test_symmetric_window_is_its_own_dual_up_to_level(spec: FeatureSpec) -> None:
    analysis, synthesis = spec.analysis_window(), spec.synthesis_window()
    n = np.arange(spec.n_fft)
    np.testing.assert_allclose(analysis, np.sin(np.pi * (n + 0.5) / spec.n_fft) ** 2, atol=1e-7)
    # at four and more hops the squares of Hann windows add up to 3/8 of their number
    np.testing.assert_allclose(synthesis, analysis / (0.375 * spec.n_fft / spec.hop), rtol=1e-6)
    total = (analysis.astype(np.float64) * synthesis).reshape(-1, spec.hop).sum(axis=0)
    np.testing.assert_allclose(total, 1.0, atol=2e-7)


@specs
def test_mel_filterbank_equals_librosa(spec: FeatureSpec) -> None:
    wanted = librosa.filters.mel(
        sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_mels, fmin=spec.mel_low_hz, fmax=spec.mel_high_hz
    )
    bank = mel_filterbank(spec)
    assert bank.shape == wanted.shape == (spec.n_mels, spec.n_bins)
    assert np.max(np.abs(bank - wanted)) <= 1e-6 * np.max(wanted)


@pytest.mark.parametrize(("hz", "mel"), [(0.0, 0.0), (200.0, 3.0), (1000.0, 15.0), (6400.0, 42.0), (40960.0, 69.0)])
def test_mel_scale_at_known_points(hz: float, mel: float) -> None:
    # Slaney: 200/3 Hz per mel up to 1 kHz = 15 mel, then 27 mel per factor 6.4.
    assert mel_from_hz(hz) == pytest.approx(mel, abs=1e-9)
    assert hz_from_mel(mel) == pytest.approx(hz, abs=1e-6)


@specs
def test_mfcc_equals_scipy_dct(spec: FeatureSpec, rng: np.random.Generator) -> None:
    frames = rng.standard_normal((7, spec.n_mels)).astype(np.float32)
    wanted = dct(frames.astype(np.float64), type=2, norm="ortho", axis=1)[:, : spec.n_mfcc]
    np.testing.assert_allclose(mfcc(frames, spec), wanted, atol=1e-5)


def test_mfcc_of_a_flat_spectrum_is_its_level_in_the_first_coefficient() -> None:
    spec = FeatureSpec()
    coefficients = mfcc(np.full((1, spec.n_mels), 2.0, np.float32), spec)[0]
    assert coefficients[0] == pytest.approx(2.0 * np.sqrt(spec.n_mels), rel=1e-6)
    np.testing.assert_allclose(coefficients[1:], 0.0, atol=1e-5)


def test_log_mel_of_silence_is_the_floor(silence: Array) -> None:
    spec = FeatureSpec()
    frames = silence[: 3 * spec.n_fft].reshape(3, spec.n_fft)
    np.testing.assert_allclose(log_mel(frames, spec), np.log(1e-5), rtol=1e-6)


def test_log_mel_equals_its_definition_in_double_precision(noise: Array) -> None:
    spec = FeatureSpec()
    frames = noise[: 4 * spec.n_fft].reshape(4, spec.n_fft) * spec.analysis_window()
    bank = librosa.filters.mel(sr=48000, n_fft=2048, n_mels=80, fmax=24000.0, dtype=np.float64)
    wanted = np.log(np.maximum(np.abs(np.fft.rfft(frames.astype(np.float64))) @ bank.T, 1e-5))
    np.testing.assert_allclose(log_mel(frames, spec), wanted, atol=1e-5)
    spectrum = np.fft.rfft(frames).astype(np.complex64)
    np.testing.assert_array_equal(log_mel_of_spectrum(spectrum, spec), log_mel(frames, spec))


def test_log_mel_of_a_sine_peaks_in_its_band(sine: Array) -> None:
    spec = FeatureSpec()
    frame = sine[None, : spec.n_fft] * spec.analysis_window()
    edges = hz_from_mel(np.linspace(0.0, mel_from_hz(24000.0), spec.n_mels + 2))
    band = int(np.argmax(log_mel(frame, spec)[0]))
    assert edges[band] < 440.0 < edges[band + 2]


def test_feature_spec_survives_its_dictionary() -> None:
    spec = SPECS["half hop, 50 Hz to 16 kHz"]
    assert FeatureSpec(**spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop": 0}, "hop=0"),
        ({"n_synthesis": 500}, "n_synthesis=500"),
        ({"n_fft": 256}, "n_fft=256"),
        ({"n_synthesis": 1000, "n_fft": 1000}, "n_fft=1000"),
        ({"n_synthesis": 256, "n_fft": 256}, "n_fft=256"),
        ({"n_fft": 2049}, "n_fft=2049"),
        ({"mel_high_hz": 24001.0}, "mel_high_hz=24001.0"),
        ({"mel_low_hz": 24000.0}, "mel_low_hz=24000.0"),
        ({"mel_low_hz": -1.0}, "mel_low_hz=-1.0"),
        ({"floor": 0.0}, "floor=0.0"),
        ({"n_mfcc": 81}, "n_mfcc=81"),
        ({"n_mfcc": 0}, "n_mfcc=0"),
    ],
)
def test_impossible_sizes_are_named(change: dict[str, float], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        FeatureSpec(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(2048,), (1, 2047), (1, 1, 2048)])
def test_log_mel_refuses_frames_of_another_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match="needs \\(T, 2048\\)"):
        log_mel(np.zeros(shape, np.float32), FeatureSpec())
