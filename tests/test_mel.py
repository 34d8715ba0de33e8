"""mel.py: log-mel as features.py defines it, and an inverse that has that mel again."""

from __future__ import annotations

import numpy as np
import pytest
from copy_synthesis import magnitudes

from rtvox.features import MEL_SPEC, Array, log_mel_of_spectrum, mel_filterbank
from rtvox.mel import LogMel, MelInverse

SILENT = np.zeros(MEL_SPEC.n_bins, np.complex64)
SIGNALS = ["noise", "music", "sweep", "glottal"]


def spectra(x: Array) -> np.ndarray:
    phase = np.random.default_rng(440).uniform(-np.pi, np.pi, (150, MEL_SPEC.n_bins))
    return (magnitudes(x)[20:170] * np.exp(1j * phase)).astype(np.complex64)


def test_log_mel_is_that_of_features(noise: Array) -> None:
    stage, frames = LogMel(MEL_SPEC), spectra(noise)
    got = np.stack([stage.process(frame).copy() for frame in frames])
    np.testing.assert_allclose(got, log_mel_of_spectrum(frames, MEL_SPEC), rtol=1e-5)


@pytest.mark.parametrize("look_ahead", [0, 1, 5])
def test_it_keeps_the_spectrum_that_the_network_answers(look_ahead: int, noise: Array) -> None:
    stage, frames = LogMel(MEL_SPEC, look_ahead), spectra(noise)
    heard = stage.heard
    for i, frame in enumerate(frames):
        stage.process(frame)
        np.testing.assert_array_equal(heard, frames[i - look_ahead] if i >= look_ahead else SILENT)
    stage.reset()
    assert not np.any(heard)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("use_input", [False, True])
def test_the_inverse_has_the_mel_that_was_asked_for(
    signal: str, use_input: bool, request: pytest.FixtureRequest
) -> None:
    frames = spectra(request.getfixturevalue(signal))
    mel = log_mel_of_spectrum(frames, MEL_SPEC)
    log_mel = LogMel(MEL_SPEC)
    stage = MelInverse(MEL_SPEC, log_mel.heard, use_input=use_input)
    got = []
    for frame, wanted in zip(frames, mel, strict=True):
        log_mel.process(frame)
        got.append(stage.process(wanted).copy())
    error = np.exp(log_mel_of_spectrum(np.stack(got), MEL_SPEC)) - np.exp(mel)
    error_db = 10.0 * np.log10(np.sum(error**2) / np.sum(np.exp(mel) ** 2))
    assert error_db <= (-60.0 if use_input else -30.0)


@pytest.mark.parametrize("signal", SIGNALS)
def test_from_the_inputs_own_spectrum_that_spectrum_comes_back(signal: str, request: pytest.FixtureRequest) -> None:
    frames = spectra(request.getfixturevalue(signal))
    log_mel = LogMel(MEL_SPEC)
    stage = MelInverse(MEL_SPEC, log_mel.heard, use_input=True)
    got = np.stack([stage.process(log_mel.process(frame)).copy() for frame in frames])
    assert 10.0 * np.log10(np.sum(np.abs(got - frames) ** 2) / np.sum(np.abs(frames) ** 2)) <= -30.0


def test_what_lies_at_0_hz_stays_with_the_input_and_is_not_made_up(music: Array) -> None:
    bass = np.sin(2 * np.pi * 40.0 * np.arange(len(music)) / 48000).astype(np.float32)  # its window reaches 0 Hz
    frames = spectra(bass)[8:]
    log_mel = LogMel(MEL_SPEC)
    kept, made = (MelInverse(MEL_SPEC, log_mel.heard, use_input=use_input) for use_input in (True, False))
    for frame in frames:
        mel = log_mel.process(frame)
        np.testing.assert_allclose(kept.process(mel)[0], frame[0], rtol=0.01)
        assert made.process(mel)[0] == 0.0


def test_its_phase_is_the_inputs_and_its_magnitude_never_negative(music: Array) -> None:
    frames = spectra(music)
    log_mel = LogMel(MEL_SPEC)
    stage = MelInverse(MEL_SPEC, log_mel.heard)
    for frame in frames:
        got = stage.process(log_mel.process(frame))
        loud = (np.abs(frame) > 1e-3) & (np.abs(got) > 1e-3)
        ratio = got[loud] / frame[loud]
        assert np.all(ratio.real > 0.0)
        np.testing.assert_allclose(ratio.imag / ratio.real, 0.0, atol=1e-3)


def test_the_floor_is_silence() -> None:
    stage = MelInverse(MEL_SPEC, SILENT)
    assert not np.any(stage.process(np.full(MEL_SPEC.n_mels, np.log(MEL_SPEC.floor), np.float32)))


def test_what_is_just_above_the_floor_keeps_its_level() -> None:
    asked = np.full(MEL_SPEC.n_mels, np.log(2.0 * MEL_SPEC.floor), np.float32)
    got = log_mel_of_spectrum(MelInverse(MEL_SPEC, SILENT).process(asked)[None], MEL_SPEC)[0]
    assert abs(np.mean(got - asked)) < 0.01
    assert np.abs(got - asked).max() < 0.3  # after so many updates as there are


def test_a_network_gone_wild_stays_finite() -> None:
    stage = MelInverse(MEL_SPEC, SILENT)
    for value in (1e3, 3e38, -3e38):
        assert np.all(np.isfinite(stage.process(np.full(MEL_SPEC.n_mels, value, np.float32))))


def test_every_bin_below_half_the_rate_is_covered_by_a_band() -> None:
    assert np.all(mel_filterbank(MEL_SPEC).sum(axis=0)[1:-1] > 0.0)
