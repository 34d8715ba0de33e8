import numpy as np
import pytest

from rtvox.features import Array
from rtvox.resample import SAMPLE_RATE, Edge, Resampler, edge_lag

RATES = [8000, 16000, 22050, 32000, 44100, 88200, 96000, 192000]


def run(resampler: Resampler, x: Array, sizes: list[int]) -> Array:
    parts, at, i = [], 0, 0
    while at < len(x):
        n = sizes[i % len(sizes)]
        parts.append(resampler.process(x[at : at + n]))
        at, i = at + n, i + 1
    return np.concatenate(parts)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("towards_48k", [True, False])
def test_sine_keeps_time_level_and_purity(rate: int, towards_48k: bool) -> None:
    rate_in, rate_out = (rate, SAMPLE_RATE) if towards_48k else (SAMPLE_RATE, rate)
    for hz in (0.0, 100.0, 0.4 * min(rate_in, rate_out)):  # up to 80 % of the lower Nyquist frequency
        x = np.cos(2 * np.pi * hz * np.arange(rate_in // 2) / rate_in).astype(np.float32)
        y = run(Resampler(rate_in, rate_out), x, [256])
        expected = np.cos(2 * np.pi * hz * np.arange(len(y)) / rate_out)
        start = rate_out // 50  # past the onset
        assert len(y) - start > rate_out // 4
        assert 20 * np.log10(np.abs(y - expected)[start:].max() + 1e-12) < -95.0


@pytest.mark.parametrize("rate", RATES)
def test_any_chunks_give_the_same_bits(rng: np.random.Generator, rate: int) -> None:
    x = rng.standard_normal(5000).astype(np.float32)
    whole = run(Resampler(rate, SAMPLE_RATE), x, [5000])
    assert len(whole) > 0
    for sizes in ([1], [7], [256], [1, 300, 17]):
        np.testing.assert_array_equal(run(Resampler(rate, SAMPLE_RATE), x, sizes), whole)


def test_reset_is_as_new(rng: np.random.Generator) -> None:
    x = rng.standard_normal(1000).astype(np.float32)
    resampler = Resampler(44100, SAMPLE_RATE)
    first = resampler.process(x)
    resampler.reset()
    np.testing.assert_array_equal(resampler.process(x), first)


def test_what_is_above_the_lower_nyquist_frequency_goes() -> None:
    x = np.cos(2 * np.pi * 30000.0 * np.arange(96000) / 96000).astype(np.float32)
    y = run(Resampler(96000, SAMPLE_RATE), x, [256])
    assert 20 * np.log10(np.abs(y[1000:]).max()) < -95.0


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("delay", [0, 256, 1024])
def test_edge_is_aligned_to_the_sample(rate: int, delay: int) -> None:
    """With a pipeline that only delays, each sample is where `delay_of` says, at most `edge_lag` late."""
    hop = 256
    edge = Edge(rate, hop, delay)
    hz = 0.3 * min(rate, SAMPLE_RATE)
    x = np.cos(2 * np.pi * hz * np.arange(rate) / rate).astype(np.float32)
    line, out, given = np.zeros(delay, np.float32), np.zeros(0, np.float32), 0
    lag = edge_lag(rate, hop, delay)
    while (want := edge.want()) + given <= len(x):
        assert given + want - 1 - len(out) <= lag
        y = edge.push(x[given : given + want])
        given += want
        if y is not None:
            assert len(y) == hop
            line = np.concatenate([line, y])
            out = np.concatenate([out, edge.pull(line[:hop])])
            line = line[hop:]
    shift = edge.delay_of(delay)
    start = rate // 10
    assert len(out) - start > rate // 2
    assert np.abs(out[start:] - x[start - shift : len(out) - shift]).max() < 1e-4


def test_48k_passes_hops_on_untouched(rng: np.random.Generator) -> None:
    edge = Edge(SAMPLE_RATE, 256, 256)
    x = rng.standard_normal(256).astype(np.float32)
    assert edge.want() == 256
    assert edge.push(x) is x
    assert edge.pull(x) is x
    assert edge.delay_of(256) == 256
