from itertools import pairwise

import numpy as np
import pytest

from rtvox.features import Array
from rtvox.levels import (
    SAMPLE_RATE,
    SILENCE_DB,
    Delay,
    Limiter,
    Line,
    Meter,
    NoiseGate,
    Ramp,
    amplitude,
    decibels,
)
from rtvox.params import GATE_OFF_DB, Param

HOP = 256
GAIN = Param("gain", "dB", -60.0, 24.0, 0.0, 20.0, "a gain")


def hops(x: Array) -> list[Array]:
    return [x[at : at + HOP].copy() for at in range(0, len(x) - HOP + 1, HOP)]


def test_decibels() -> None:
    assert amplitude(0.0) == 1.0
    assert amplitude(20.0) == pytest.approx(10.0)
    assert decibels(0.5) == pytest.approx(-6.0206, abs=1e-4)
    assert decibels(0.0) == SILENCE_DB
    assert decibels(1e-9) == SILENCE_DB


def test_ramp_goes_straight_and_arrives_exactly() -> None:
    ramp = Ramp(GAIN, HOP)
    values = [ramp.advance(10.0) for _ in range(6)]
    assert [after for _, after in values] == [2.5, 5.0, 7.5, 10.0, 10.0, 10.0]  # 20 ms are 3.75 hops
    assert all(earlier[1] == later[0] for earlier, later in pairwise(values))
    assert ramp.advance(0.1)[0] == 10.0
    for _ in range(5):
        before, after = ramp.advance(0.1)
    assert (before, after) == (0.1, 0.1)


def test_ramp_may_be_turned_on_its_way() -> None:
    ramp = Ramp(GAIN, HOP)
    ramp.advance(10.0)
    before, after = ramp.advance(2.5)
    assert (before, after) == (2.5, 2.5)


def test_line_is_continuous_over_hops() -> None:
    line = Line(HOP)
    x = np.ones((3, HOP), np.float32)
    for part, (start, end) in zip(x, [(1.0, 1.0), (1.0, 0.2), (0.2, 0.2)], strict=True):
        line.scale(part, start, end)
    assert np.abs(np.diff(x.ravel())).max() == pytest.approx(0.8 / HOP, rel=1e-3)
    assert x[0].tolist() == [1.0] * HOP
    assert x[1, -1] == np.float32(0.2)


def test_blend_ends_are_exact(rng: np.random.Generator) -> None:
    line = Line(HOP)
    a, b = rng.standard_normal((2, HOP)).astype(np.float32)
    for start, end, expected in ((0.0, 0.0, a), (1.0, 1.0, b)):
        x = a.copy()
        line.blend(x, b, start, end)
        np.testing.assert_array_equal(x, expected)
    x = a.copy()
    line.blend(x, b, 0.0, 1.0)
    np.testing.assert_allclose(x, a + np.arange(1, HOP + 1) / HOP * (b - a), atol=1e-6)


class TestNoiseGate:
    def levels(self, gate: NoiseGate, peaks: list[float], threshold_db: float = -40.0) -> list[float]:
        out = []
        for peak in peaks:
            x = np.full(HOP, peak, np.float32)
            gate.process(x, threshold_db)
            out.append(float(np.abs(x).max()))
        return out

    def test_off_never_touches_a_bit(self, rng: np.random.Generator) -> None:
        gate = NoiseGate(HOP)
        for _ in range(100):
            x = (1e-6 * rng.standard_normal(HOP)).astype(np.float32)
            y = x.copy()
            gate.process(y, GATE_OFF_DB)
            np.testing.assert_array_equal(x, y)

    def test_closes_to_exact_zero_after_hold_and_release(self) -> None:
        gate = NoiseGate(HOP)
        out = self.levels(gate, [0.5] * 3 + [0.001] * 60)
        hold = 3 + round(gate.HOLD_MS * SAMPLE_RATE / 1000 / HOP)
        release = round(gate.RELEASE_MS * SAMPLE_RATE / 1000 / HOP) + 2
        assert out[:3] == [0.5] * 3
        np.testing.assert_allclose(out[3 : hold - 1], 0.001)
        assert out[hold + release :] == [0.0] * (len(out) - hold - release)
        assert all(a >= b for a, b in pairwise(out[3:]))

    def test_opens_within_the_hop_and_without_a_step(self) -> None:
        gate = NoiseGate(HOP)
        self.levels(gate, [0.001] * 60)
        x = np.full(HOP, 0.5, np.float32)
        gate.process(x, -40.0)
        assert np.abs(np.diff(x, prepend=0.0)).max() <= 0.5 / gate.ATTACK + 1e-6
        assert (x[gate.ATTACK :] == 0.5).all()

    def test_does_not_chatter_around_the_threshold(self, rng: np.random.Generator) -> None:
        gate = NoiseGate(HOP)
        threshold = amplitude(-40.0)
        self.levels(gate, [0.001] * 60)
        out = np.array(self.levels(gate, list(threshold * rng.uniform(0.6, 1.2, 2000))))
        closed = out == 0.0
        assert np.count_nonzero(np.diff(closed.astype(int))) <= 1  # once open, a level within 6 dB keeps it open

    def test_between_the_thresholds_a_closing_gate_goes_on_closing(self) -> None:
        gate = NoiseGate(HOP)
        threshold = amplitude(-40.0)
        self.levels(gate, [0.0] * 26)
        assert 0.0 < gate.gain < 1.0
        out = self.levels(gate, [0.7 * threshold] * 30)
        assert out[-1] == 0.0


class TestLimiter:
    @pytest.mark.parametrize("ceiling_db", [0.0, -0.3, -12.0])
    def test_nothing_is_above_the_ceiling(self, rng: np.random.Generator, ceiling_db: float) -> None:
        limiter, ceiling = Limiter(HOP), amplitude(ceiling_db)
        bursts = np.repeat(rng.uniform(0.01, 4.0, 400), 97)
        for x in hops((bursts * rng.standard_normal(len(bursts))).astype(np.float32)):
            limiter.process(x, ceiling)
            assert np.abs(x).max() <= np.float32(ceiling)

    def test_quiet_sound_is_untouched(self, noise: Array) -> None:
        limiter = Limiter(HOP)
        for x in hops(noise):
            y = x.copy()
            limiter.process(y, 1.0)
            np.testing.assert_array_equal(x, y)

    def test_a_moving_ceiling_is_kept(self, rng: np.random.Generator) -> None:
        limiter, line = Limiter(HOP), Line(HOP)
        for start in np.linspace(1.0, 0.1, 20):
            x = rng.uniform(-2.0, 2.0, HOP).astype(np.float32)
            ceiling = line.between(start, start - 0.04).copy()
            limiter.process(x, ceiling)
            assert (np.abs(x) <= ceiling).all()

    def test_not_a_number_becomes_silence(self) -> None:
        limiter = Limiter(HOP)
        x = np.full(HOP, 0.5, np.float32)
        x[10], x[20], x[30] = np.nan, np.inf, -np.inf
        limiter.process(x, 1.0)
        assert limiter.repaired == 3
        assert x[[10, 20, 30]].tolist() == [0.0, 0.0, 0.0]
        assert (np.delete(x, [10, 20, 30]) == 0.5).all()

    def test_huge_numbers_are_limited_not_lost(self) -> None:
        limiter = Limiter(HOP)
        x = np.full(HOP, 3e38, np.float32)
        limiter.process(x, 0.5)
        np.testing.assert_allclose(x, 0.5, rtol=1e-5)

    def test_lets_go_at_its_rate(self) -> None:
        limiter = Limiter(HOP)
        loud, rest = np.full(HOP, 4.0, np.float32), np.full((60, HOP), 0.5, np.float32)
        limiter.process(loud, 1.0)
        for x in rest:
            limiter.process(x, 1.0)
        gain_db = 20 * np.log10(rest.ravel() / 0.5)
        assert gain_db[0] == pytest.approx(-12.04, abs=0.01)
        assert np.diff(gain_db).max() == pytest.approx(limiter.RELEASE_DB_PER_S / SAMPLE_RATE, rel=0.05)
        assert gain_db[-1] == 0.0

    def test_a_sine_that_is_too_loud_keeps_its_shape(self) -> None:
        limiter = Limiter(HOP)
        sine = 2.0 * np.sin(2 * np.pi * 440.0 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
        out = np.concatenate([x for x in hops(sine.astype(np.float32)) if limiter.process(x, 1.0) is None])
        steady = out[SAMPLE_RATE // 2 :]
        spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
        fundamental = spectrum.argmax()
        rest = np.delete(spectrum, range(fundamental - 4, fundamental + 5))
        assert 20 * np.log10(np.linalg.norm(rest) / spectrum.max()) < -30.0  # clipping as hard would give -12 dB


@pytest.mark.parametrize("delay", [0, 1, 255, 256, 257, 1000])
def test_delay_is_exact(rng: np.random.Generator, delay: int) -> None:
    x = rng.standard_normal(20 * HOP).astype(np.float32)
    line = Delay(delay, HOP)
    for _ in range(2):
        y = np.concatenate([line.process(part).copy() for part in hops(x)])
        np.testing.assert_array_equal(y, np.concatenate([np.zeros(delay, np.float32), x])[: len(x)])
        line.reset()


def test_meter_shows_peak_and_mean(sine: Array) -> None:
    meter = Meter(HOP)
    for _ in range(3):
        for x in hops(sine):
            meter.process(x)
    assert meter.peak_db == pytest.approx(-6.02, abs=0.01)
    assert meter.rms_db == pytest.approx(-9.03, abs=0.05)
    for x in hops(np.zeros(SAMPLE_RATE, np.float32)):
        meter.process(x)
    assert meter.peak_db == pytest.approx(-6.02 - meter.PEAK_FALL_DB_PER_S, abs=0.2)
    meter.reset()
    assert (meter.peak_db, meter.rms_db) == (SILENCE_DB, SILENCE_DB)
