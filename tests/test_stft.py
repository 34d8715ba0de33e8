"""stft.py: exact reconstruction, the delay that it claims, and frames against numpy in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from rtvox.features import MEL_SPEC, Array, FeatureSpec, vocoder_window
from rtvox.stage import Pipeline, Stage
from rtvox.stft import Analyzer, Synthesizer

RECONSTRUCTION_DB = -120.0  # docs/design.md section 5; float32 alone allows about -140

SPECS = {
    "house": FeatureSpec(),
    "short": FeatureSpec(n_fft=1024),
    "symmetric": FeatureSpec(n_fft=512),
    "half hop": FeatureSpec(n_synthesis=256, hop=128),
    "mel": MEL_SPEC,
    "mel, eightfold": FeatureSpec(n_fft=2048, n_synthesis=2048),
    "not a power of two": FeatureSpec(n_fft=1920, n_synthesis=480, hop=240),
}
specs = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())


def run(stage: Stage, x: Array, hop: int) -> Array:
    """Return the stage's output for the whole hops of x."""
    return np.concatenate([stage.process(x[i : i + hop]).copy() for i in range(0, len(x) - hop + 1, hop)])


def pair(spec: FeatureSpec) -> Pipeline:
    return Pipeline([Analyzer(spec), Synthesizer(spec)])


@specs
@pytest.mark.parametrize("signal", ["noise", "sine", "sweep", "impulse", "glottal"])
def test_nothing_between_them_gives_the_input_back(
    spec: FeatureSpec, signal: str, request: pytest.FixtureRequest
) -> None:
    x = request.getfixturevalue(signal)
    stage = pair(spec)
    y = run(stage, x, spec.hop)
    assert stage.delay == spec.n_synthesis - spec.hop
    wanted = np.concatenate([np.zeros(stage.delay, np.float32), x])[: len(y)]
    assert len(y) > 40000
    error_db = 10.0 * np.log10(np.sum((y - wanted) ** 2, dtype=np.float64) / np.sum(wanted**2, dtype=np.float64))
    assert error_db <= RECONSTRUCTION_DB


def test_a_vocoders_frames_begin_with_the_hop_that_goes_out(rng: np.random.Generator) -> None:
    spectra = np.fft.rfft(rng.standard_normal((9, MEL_SPEC.n_fft))).astype(np.complex64)
    synthesizer, hop = Synthesizer(MEL_SPEC, vocoder=True), MEL_SPEC.hop
    y = np.concatenate([synthesizer.process(spectrum).copy() for spectrum in spectra])
    wanted = np.zeros(9 * hop + MEL_SPEC.n_fft)
    for i, frame in enumerate(np.fft.irfft(spectra.astype(np.complex128), MEL_SPEC.n_fft)):
        wanted[i * hop : i * hop + MEL_SPEC.n_fft] += frame * vocoder_window(MEL_SPEC)
    assert synthesizer.delay == 0
    np.testing.assert_allclose(y, wanted[: len(y)], atol=1e-5)


def test_silence_in_is_silence_out(silence: Array) -> None:
    assert not np.any(run(pair(FeatureSpec()), silence, 256))


@specs
def test_an_impulse_comes_out_where_the_delay_says(spec: FeatureSpec, impulse: Array) -> None:
    y = run(pair(spec), impulse, spec.hop)
    peak = int(np.argmax(np.abs(y)))
    assert peak - 12345 == pair(spec).delay
    # with the hop that is gathered before it can be processed, the algorithmic delay is n_synthesis
    assert peak - 12345 + spec.hop == spec.n_synthesis


@specs
def test_each_spectrum_is_that_of_the_newest_windowed_samples(spec: FeatureSpec, noise: Array) -> None:
    analyzer = Analyzer(spec)
    padded = np.concatenate([np.zeros(spec.n_fft), noise]).astype(np.float64)
    for end in range(spec.hop, 20 * spec.hop, spec.hop):
        spectrum = analyzer.process(noise[end - spec.hop : end])
        wanted = np.fft.rfft(padded[end : end + spec.n_fft] * spec.analysis_window())
        assert spectrum.dtype == np.complex64
        np.testing.assert_allclose(spectrum, wanted, atol=2e-6 * np.max(np.abs(wanted)))


def test_a_full_scale_sine_on_a_bin_has_half_the_windows_sum() -> None:
    spec = FeatureSpec()
    bin_index = 100
    x = np.cos(2 * np.pi * bin_index / spec.n_fft * np.arange(4 * spec.n_fft)).astype(np.float32)
    analyzer = Analyzer(spec)
    for start in range(0, len(x), spec.hop):
        spectrum = analyzer.process(x[start : start + spec.hop])
    assert int(np.argmax(np.abs(spectrum))) == bin_index
    assert abs(spectrum[bin_index]) == pytest.approx(np.sum(spec.analysis_window()) / 2.0, rel=1e-3)


@specs
def test_synthesis_is_plain_overlap_add_of_the_newest_end(spec: FeatureSpec, rng: np.random.Generator) -> None:
    spectra = np.fft.rfft(rng.standard_normal((9, spec.n_fft))).astype(np.complex64)
    synthesizer = Synthesizer(spec)
    y = np.concatenate([synthesizer.process(spectrum).copy() for spectrum in spectra])
    wanted = np.zeros(8 * spec.hop + spec.n_synthesis)
    for i, frame in enumerate(np.fft.irfft(spectra.astype(np.complex128), spec.n_fft)):
        wanted[i * spec.hop : i * spec.hop + spec.n_synthesis] += frame[-spec.n_synthesis :] * spec.synthesis_window()
    np.testing.assert_allclose(y, wanted[: len(y)], atol=1e-5)
