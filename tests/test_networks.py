"""Every network: chunks equal the whole, later frames change nothing earlier, a graph equals its network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stirring import stirred
from torch import Tensor

from export.losses import mask_losses, si_sdr
from export.networks.band_unet import COMPRESSION, band_edges
from export.networks.isolate import Isolate
from export.networks.streaming import TimeGRU
from export.spectra import analyze, synthesize
from export.to_onnx import cost, to_graph
from export.verify import ALLOWED, Graph, verify
from rtvox.errors import ModelFileError
from rtvox.features import Array, FeatureSpec
from rtvox.stage import Pipeline
from rtvox.stft import Analyzer, Synthesizer

SPEC = FeatureSpec()


@pytest.fixture
def network() -> Isolate:
    """A narrow `isolate` with weights that are far from their quiet start."""
    return stirred(Isolate, SPEC, amount=0.1, channels=(4, 6, 8), hidden=(0, 4, 8), recurrent=2)


@pytest.fixture
def frames(rng: np.random.Generator) -> Array:
    return rng.standard_normal((60, SPEC.n_bins, 2)).astype(np.float32)


@torch.no_grad()
def run(network: Isolate, frames: Array, part: float = 0.0) -> Array:
    out: Tensor = network(torch.from_numpy(frames)[None], torch.tensor([part]), network.zero_state())[0]
    return out[0].numpy()


@pytest.mark.parametrize("chunk", [1, 7, 59])
def test_chunks_equal_the_whole(network: Isolate, frames: Array, chunk: int) -> None:
    state, parts = network.zero_state(), []
    with torch.no_grad():
        for start in range(0, len(frames), chunk):
            out, state = network(torch.from_numpy(frames[None, start : start + chunk]), torch.zeros(1), state)
            parts.append(out[0].numpy())
    np.testing.assert_allclose(np.concatenate(parts), run(network, frames), atol=1e-5)


def test_later_frames_change_nothing_earlier(network: Isolate, frames: Array) -> None:
    changed = frames.copy()
    changed[40:] = 5.0
    np.testing.assert_allclose(run(network, changed)[:40], run(network, frames)[:40], atol=1e-6)
    assert np.abs(run(network, changed)[40:] - run(network, frames)[40:]).max() > 0.1


def test_part_runs_from_voice_over_mix_to_rest(network: Isolate, frames: Array) -> None:
    voice, mix, rest = (run(network, frames, part) for part in (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(mix, frames)
    np.testing.assert_allclose(voice + rest, frames, atol=1e-5)


def test_silence_stays_silent_and_gains_never_lift(network: Isolate, frames: Array) -> None:
    assert not run(network, np.zeros_like(frames)).any()
    assert np.all(np.abs(run(network, frames)) <= np.abs(frames))


def test_graph_equals_network_over_500_frames(network: Isolate) -> None:
    assert float(verify(network, to_graph(network))["onnx_difference"]) <= ALLOWED


def test_verify_refuses_a_graph_of_other_weights(network: Isolate) -> None:
    graph = to_graph(network)
    network.head.weight.data.add_(1.0)
    with pytest.raises(ModelFileError, match=r"torch against onnxruntime, 500 frames: .* at most 0\.0001"):
        verify(network, graph)


def test_graph_streams_with_its_control(network: Isolate, frames: Array) -> None:
    graph = Graph(to_graph(network), part=0.25)
    streamed = np.concatenate([graph.run(frames[:20]), graph.run(frames[20:])])
    np.testing.assert_allclose(streamed, run(network, frames, 0.25), atol=1e-5)


def test_cost_of_the_shipped_recipe_is_within_the_plan() -> None:
    figures = cost(Isolate(SPEC))
    assert float(figures["parameters"]) <= 500_000
    assert 0.05 < float(figures["gmac_per_second"]) <= 2.0


def test_scan_gradients_are_exact() -> None:
    torch.manual_seed(440)
    layer = TimeGRU(3, 2, 4)
    x, state = torch.randn(2, 3, 5, 2), torch.randn(2, 2, 4)

    def loop(x: Tensor) -> Tensor:
        rows = x.permute(2, 0, 3, 1) + layer.place
        gate, new, h, hs = torch.sigmoid(layer.gate(rows)), layer.new(rows), state, []
        for z, n in zip(gate, new, strict=True):
            h = (1.0 - z) * h + z * n
            hs.append(h)
        out: Tensor = layer.out(torch.stack(hs))
        return x + out.permute(1, 3, 0, 2)

    by_scan, by_loop = x.clone().requires_grad_(), x.clone().requires_grad_()
    weights = torch.randn(2, 3, 5, 2)
    torch.autograd.backward((layer(by_scan, state)[0] * weights).sum())
    scan_gradient = layer.gate.weight.grad.clone()  # type: ignore[union-attr]
    layer.zero_grad()
    torch.autograd.backward((loop(by_loop) * weights).sum())
    torch.testing.assert_close(layer(x, state)[0], loop(x))
    torch.testing.assert_close(by_scan.grad, by_loop.grad)
    torch.testing.assert_close(scan_gradient, layer.gate.weight.grad)


def test_band_edges_cover_every_bin_once() -> None:
    edges = band_edges(SPEC, 192)
    widths = np.diff(edges)
    assert (len(widths), edges[0], edges[-1]) == (192, 0, SPEC.n_bins)
    assert np.all(widths[:85] == 1)
    assert np.all(widths >= 1)
    assert widths[-1] > 20


@torch.no_grad()
def test_band_energies_give_the_error_of_a_mask(network: Isolate, rng: np.random.Generator) -> None:
    """With one gain per band, g^2 mix - 2 g inner + voice is the energy of the spectral error, exactly."""
    signals = torch.from_numpy(rng.standard_normal((2, 1, 20 * SPEC.hop)).astype(np.float32))
    x, v = (analyze(signal, SPEC) for signal in signals)
    mix, inner, voice = network.energies(x, v).unbind(1)
    gains = torch.rand_like(mix)
    error = (gains[..., network.band_of_bin, None] * x - v).square().sum(-1)
    expected = network.pooled(error) * network.widths
    torch.testing.assert_close(gains**2 * mix - 2 * gains * inner + voice, expected, rtol=1e-3, atol=1e-2)


@torch.no_grad()
def test_a_steady_tone_does_not_stray_and_a_gliding_one_does(network: Isolate) -> None:
    t = torch.arange(200 * SPEC.hop, dtype=torch.float64) / SPEC.sample_rate
    turns = torch.stack([1500.3 * t, 1500.3 * t + 300.0 * t**2])  # the second rises by 600 Hz in a second
    spectra = analyze(torch.sin(2.0 * torch.pi * turns).float(), SPEC)
    level, strange, slow, *_ = network.features(spectra, network.zero_state(2))[0][:, :, 100].unbind(1)
    part = (strange.amax(-1) / level.amax(-1)) ** (2.0 / COMPRESSION)  # of the power
    assert part[0] < 1e-3
    assert part[1] > 0.1
    assert torch.all(slow.amax(-1) < level.amax(-1))


@torch.no_grad()
def test_features_of_every_second_frame_are_those_of_all(network: Isolate, noise: Array) -> None:
    samples = torch.from_numpy(noise[: 100 * SPEC.hop])[None]
    every, second = (network.features(analyze(samples, SPEC, step), network.zero_state(), step)[0] for step in (1, 2))
    torch.testing.assert_close(second[:, :2], every[:, :2, ::2], atol=1e-4, rtol=1e-4)


def test_mask_losses_reward_the_right_mask() -> None:
    torch.manual_seed(440)
    energies = torch.rand(2, 3, 10, 192) + 0.1
    energies[:, 0] = energies[:, 2] * 4.0  # the voice is half of the mix everywhere
    energies[:, 1] = energies[:, 2] * 2.0
    widths = torch.ones(192)
    right, wrong = (mask_losses(torch.full((2, 10, 192), gain), energies, widths) for gain in (0.5, 1.0))
    assert float(right[0]) == pytest.approx(-30.0, abs=0.1)
    assert float(right[1]) == pytest.approx(0.0, abs=1e-6)
    assert wrong[0] > -1.0
    assert wrong[1] > 0.1


def test_si_sdr_of_known_noise(rng: np.random.Generator) -> None:
    target, noise = torch.from_numpy(rng.standard_normal((2, 48000)))
    assert float(si_sdr(3.0 * target + 0.3 * noise, target)) == pytest.approx(20.0, abs=0.2)


def test_torch_twin_of_analyzer_and_synthesizer(noise: Array) -> None:
    hops = noise[: len(noise) // SPEC.hop * SPEC.hop]
    analyzer, chain = Analyzer(SPEC), Pipeline([Analyzer(SPEC), Synthesizer(SPEC)])
    spectra = analyze(torch.from_numpy(hops)[None], SPEC)
    streamed = np.stack([analyzer.process(hop).copy() for hop in hops.reshape(-1, SPEC.hop)])
    np.testing.assert_allclose(torch.view_as_complex(spectra)[0].numpy(), streamed, atol=1e-5)
    resynthesised = np.concatenate([chain.process(hop).copy() for hop in hops.reshape(-1, SPEC.hop)])
    np.testing.assert_allclose(synthesize(spectra, SPEC)[0].numpy(), resynthesised, atol=1e-5)


def test_manifest_of_an_export(network: Isolate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from export import to_onnx
    from export.recipe import read_recipe

    recipe = replace(read_recipe("isolate"), name="narrow")
    monkeypatch.setattr(to_onnx, "load_network", lambda *_: (network, 7))
    file = to_onnx.export(recipe, tmp_path / "any.ckpt", tmp_path, tmp_path / "narrow.onnx")
    assert file.manifest.provenance.steps == 7
    assert [control.name for control in file.manifest.controls] == ["part"]
    assert [state.name for state in file.manifest.states] == network.states
