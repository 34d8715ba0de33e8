"""`magnitudes`: agrees with its graph, gives the mel asked for, with partials at the pitch told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stirring import stirred

from export.networks.magnitudes import Magnitudes
from export.recipe import read_recipe
from export.recordings.clips import Clip, ClipRecipe
from export.resynthesis import vocode_frames
from export.spectra import analyze, log_mel
from export.tasks import vocoder as clips
from export.tasks.magnitudes import MagnitudesTraining
from export.tasks.vocoder import OVERLAP
from export.to_onnx import export, to_graph
from export.verify import ALLOWED, verify
from rtvox.chain import build_chain
from rtvox.features import MEL_SPEC, Array
from rtvox.model_file import load_model
from rtvox.pitch import CONDITIONS, track
from rtvox.synthesis import algorithmic_delay

RATE, HOP = 48000, MEL_SPEC.hop
SILENCE = float(np.log(MEL_SPEC.floor))


@pytest.fixture
def network() -> Magnitudes:
    """A narrow network with weights that are away from their quiet start."""
    return stirred(Magnitudes, MEL_SPEC, amount=0.02, channels=16, blocks=2)


@torch.no_grad()
def run(network: Magnitudes, mel: Array, pitch: float, voicing: float) -> Array:
    told = torch.tensor([pitch]), torch.tensor([voicing])
    return network(torch.from_numpy(mel)[None], *told, network.zero_state())[0][0].numpy()


def test_graph_and_chunks_equal_the_network(network: Magnitudes) -> None:
    found = verify(network, to_graph(network))
    assert float(found["onnx_difference"]) <= ALLOWED
    assert float(found["chunking_difference"]) <= ALLOWED


def test_silence_stays_silence(network: Magnitudes) -> None:
    assert not np.any(run(network, np.full((40, MEL_SPEC.n_mels), SILENCE, np.float32), 200.0, 1.0))


@pytest.mark.parametrize("hz", [220.0, 440.0])
def test_bands_hold_the_mel_that_was_asked_for_and_partials_stand_out(hz: float) -> None:
    network = Magnitudes(MEL_SPEC, channels=16, blocks=1).eval()
    mel = np.full((30, MEL_SPEC.n_mels), -3.0, np.float32)
    tone, hiss = (run(network, mel, hz, voicing)[-1, :, 0] for voicing in (1.0, 0.0))
    for size in (tone, hiss):
        again = np.log(np.maximum(network.bank.numpy() @ size, MEL_SPEC.floor))
        assert np.abs(again - -3.0)[20:].mean() < 0.05
    partial = round(6000.0 / hz) * hz  # where bands are wider than partials are apart
    on, off = (round(f * MEL_SPEC.n_fft / RATE) for f in (partial, partial + hz / 2.0))
    assert tone[on] / tone[off] > 1.2 * hiss[on] / hiss[off]


@pytest.fixture
def training(glottal: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MagnitudesTraining:
    """The training of a narrow network on one sound."""
    sound = np.tile(glottal, 4)[: 400 * HOP]
    clip = Clip("voice", "glottal", (sound * 20000).astype(np.int16), track(sound)[:, :2])
    monkeypatch.setattr(clips, "read_clips", lambda *_: ([clip], [clip]))
    recipe = replace(read_recipe("vocoder"), network={"channels": 16, "blocks": 1}, clips=ClipRecipe({"voice": 1.0}))
    torch.manual_seed(440)
    return MagnitudesTraining(recipe, tmp_path)


def test_it_learns_the_magnitudes_of_recordings(training: MagnitudesTraining) -> None:
    """A few steps on one sound make the loss smaller."""
    before = training.score()
    items = iter(torch.utils.data.DataLoader(training.stream(440, 0, 1), batch_size=2))
    optimizer = torch.optim.AdamW(training.parameters(), 1e-2)
    for _ in range(12):
        losses = training.losses(next(items))
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    after = training.score()
    assert after["held_log"] < before["held_log"]


def test_discriminators_hear_magnitudes_with_the_recordings_own_phases(
    training: MagnitudesTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    """True magnitudes give the recording; discriminators learn from what they lose, the network from what they say."""
    batch = next(iter(torch.utils.data.DataLoader(training.stream(440, 0, 1), batch_size=2)))
    made, target, losses = training.hear(batch)
    assert made.shape == target.shape
    judged = training.judge(made, target)
    assert set(judged) == {"deceive", "feature", "judge"}
    judges = list(training.discriminators.parameters())
    alone = torch.autograd.grad(judged["judge"], judges, retain_graph=True)
    torch.stack(list((losses | judged).values())).sum().backward()
    for weight, gradient in zip(judges, alone, strict=True):
        torch.testing.assert_close(weight.grad, gradient)
    assert all(weight.grad is not None for weight in training.network.head.parameters())
    true = torch.linalg.vector_norm(analyze(batch[0], MEL_SPEC)[:, OVERLAP:], dim=-1, keepdim=True)
    monkeypatch.setattr(training.network, "forward", lambda *_: (true, []))
    made, target, losses = training.hear(batch)
    torch.testing.assert_close(made, target, atol=1e-4, rtol=0.0)
    assert float(losses["log"]) == pytest.approx(0.0, abs=1e-6)


def test_its_file_is_a_vocoder_whose_sound_is_two_hops_late(
    network: Magnitudes, glottal: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live, hop by hop, it gives what its frames give offline; and as late as every vocoder says."""
    checkpoint, path = tmp_path / "last.ckpt", tmp_path / "vocoder.onnx"
    torch.save(
        {"state_dict": {f"network.{n}": v for n, v in network.state_dict().items()}, "global_step": 1}, checkpoint
    )
    recipe = replace(read_recipe("vocoder"), model="magnitudes", network={"channels": 16, "blocks": 2})
    file = export(recipe, checkpoint, tmp_path, path)
    assert (file.manifest.role, file.manifest.resynthesis, file.manifest.delay) == ("vocoder", "griffin-lim", 0)
    assert algorithmic_delay(file.manifest) == 3 * HOP
    monkeypatch.setenv("RTVOX_MODELS", str(tmp_path))
    chain = build_chain(None, MEL_SPEC, "cpu", {"resynthesis": 3.0})
    assert chain.pipeline.delay == 2 * HOP
    hops = glottal[: 60 * HOP].reshape(-1, HOP)
    live = np.concatenate([chain.pipeline.process(hop).copy() for hop in hops])
    told = dict(zip(CONDITIONS, track(hops.ravel()).T, strict=True))
    made = vocode_frames(load_model(path), log_mel(torch.from_numpy(hops.ravel())[None], MEL_SPEC)[0].numpy(), told)
    # Griffin-Lim makes much of the last bit of a log-mel, so not to the sample.
    assert np.corrcoef(live[2 * HOP :][: len(made)], made)[0, 1] > 0.99
    assert np.sqrt(np.mean(made**2)) == pytest.approx(np.sqrt(np.mean(hops**2)), rel=0.2)
