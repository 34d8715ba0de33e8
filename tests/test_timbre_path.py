"""What the runtime does for a model of domains: names for numbers, a vocoder that hears of a moved octave; and what the
shipped `timbre` makes of voices and of what is none.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import mel_graph, mel_manifest
from made_vocoder import write_vocoder
from playing import RATE, play

from rtvox.chain import build_chain
from rtvox.commands.options import choose
from rtvox.demo import read_clip
from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, Array
from rtvox.file_device import convert_array
from rtvox.manifest import Manifest
from rtvox.model_file import make_golden, write_model
from rtvox.params import Param, Params, Scale
from rtvox.pitch import HIGH_HZ, track
from rtvox.report import models_table

DOMAINS = "violin", "cello", "man"
DOMAIN = Param("domain", "", 0.0, 2.0, 0.0, 0.0, "what the voice becomes")
VOCODER = {"resynthesis": 3.0}
SHIPPED = Path(__file__).parent.parent / "checkpoints" / "timbre.onnx"


def write_with(path: Path, control: Param, domains: tuple[str, ...] = ()) -> Manifest:
    """Write a mel model whose one control has this name; return its manifest."""
    graph = mel_graph(MEL_SPEC)
    for port in graph.graph.input:
        port.name = control.name if port.name == "level" else port.name
    for node in graph.graph.node:
        node.input[:] = [control.name if name == "level" else name for name in node.input]
    manifest = replace(mel_manifest(MEL_SPEC), controls=(control,), domains=domains)
    golden = make_golden(manifest, lambda mel: mel, manifest.golden.frames, manifest.golden.seed)
    return write_model(path, graph, replace(manifest, golden=golden)).manifest


def test_a_domain_is_set_by_name_or_number(tmp_path: Path) -> None:
    path = tmp_path / "timbre.onnx"
    write_with(path, DOMAIN, DOMAINS)
    for text, value in (("cello", 1.0), ("Man", 2.0), ("0.5", 0.5)):
        assert choose(str(path), [f"domain={text}"]).settings == {"domain": value}
    with pytest.raises(ParameterError, match=r"domain=oboe: .*violin, cello, man"):
        choose(str(path), ["domain=oboe"])
    with pytest.raises(ParameterError, match=r"domain=3: needs 0 to 2 \(violin, cello, man\)"):
        choose(str(path), ["domain=3"])


def test_the_table_of_models_names_the_domains(tmp_path: Path) -> None:
    manifest = write_with(tmp_path / "timbre.onnx", DOMAIN, DOMAINS)
    assert "domain 0 to 2 (violin, cello, man)" in models_table({tmp_path / "timbre.onnx": manifest})


def test_only_controls_that_count_the_domains_take_their_names(tmp_path: Path) -> None:
    named = replace(mel_manifest(), domains=DOMAINS, controls=(DOMAIN, replace(DOMAIN, name="towards")))
    assert named.rows == tuple(Scale(**vars(row), names=DOMAINS) for row in named.controls)
    other = (replace(DOMAIN, high=9.0), replace(DOMAIN, name="morph"))
    assert replace(named, controls=other).rows == other
    assert Manifest.from_json(named.to_json()) == named


@pytest.mark.parametrize(("octave", "wanted"), [(0.0, 440.0), (1.0, 880.0), (-2.0, 110.0), (2.0, HIGH_HZ)])
def test_the_vocoder_hears_of_the_moved_pitch_and_the_network_of_the_voice_s(
    octave: float, wanted: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sine: Array
) -> None:
    monkeypatch.setenv("RTVOX_MODELS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rtvox.model_file.__file__", str(tmp_path / "nowhere" / "rtvox" / "x.py"))
    write_vocoder(tmp_path / "vocoder.onnx")
    write_with(tmp_path / "shifted.onnx", Param("octave", "octaves", -2.0, 2.0, 0.0, 0.0, "moves the pitch"))
    chain, params = build_chain("shifted", MEL_SPEC, "cpu", VOCODER), Params()
    params.join(chain.controls)
    params.set("octave", octave)
    for hop in sine[: 20 * MEL_SPEC.hop].reshape(-1, MEL_SPEC.hop):
        chain.process(hop, hop, params)
    network, vocoder = chain.networks
    np.testing.assert_allclose([network.told[0], vocoder.told[0]], [440.0, wanted], rtol=1e-3)


# -- the shipped file --


def drums(rng: np.random.Generator) -> Array:
    """Return four beats a second: noises and low thumps that die away."""
    time = np.arange(RATE // 4) / RATE
    snare = 0.3 * rng.standard_normal(len(time)) * np.exp(-40.0 * time)
    kick = 0.6 * np.sin(2.0 * np.pi * 60.0 * time) * np.exp(-25.0 * time)
    return np.tile(np.concatenate([kick, snare]), 3).astype(np.float32)


def two_voices(rng: np.random.Generator) -> Array:
    """Return two pulse trains whose pitches cross."""
    time = np.arange(3 * RATE // 2) / RATE
    phases = np.cumsum(220.0 + 60.0 * time), np.cumsum(310.0 - 60.0 * time)
    tones = (sum(np.cos(2.0 * np.pi * k * phase / RATE) / k for k in range(1, 20)) for phase in phases)
    return np.asarray(0.1 * sum(tones), np.float32)


def hiss(rng: np.random.Generator) -> Array:
    return (0.1 * rng.standard_normal(3 * RATE // 2)).astype(np.float32)


@pytest.mark.parametrize("made", [hiss, drums, two_voices])
@pytest.mark.parametrize("domain", [0.0, 3.0])
def test_what_is_no_voice_sounds_no_longer_than_it_does(made: Any, domain: float, rng: np.random.Generator) -> None:
    x = np.concatenate([made(rng), np.zeros(RATE, np.float32)])
    y = convert_array(x, RATE, SHIPPED, {"domain": domain, "ceiling": 0.0})
    assert np.isfinite(y).all()
    heard = slice(0, len(x) - RATE)
    assert 0.1 < np.abs(y[heard]).max() / np.abs(x).max() < 5.0
    assert np.abs(y[-RATE // 2 :]).max() < 1e-4  # -80 dB
    loudness = [track(z[heard])[:, 2] for z in (x, y)]
    assert np.median(np.abs(loudness[0] - loudness[1])) < 6.0


def test_silence_is_given_silence() -> None:
    assert not np.any(convert_array(np.zeros(RATE, np.float32), RATE, SHIPPED, {"octave": 1.0, "drift": 1.0}))


def test_a_voice_is_followed_in_pitch_and_loudness() -> None:
    voice = read_clip(4.0)
    voice = voice / np.abs(voice).max()
    before, after = (track(x) for x in (voice, convert_array(voice, RATE, SHIPPED, {"octave": 1.0})))
    both = (before[:, 1] > 0.8) & (after[:, 1] > 0.8)
    assert np.count_nonzero(both) > 100
    cents = 1200.0 * (np.log2(after[both, 0] / before[both, 0]) - 1.0)
    assert np.mean(np.abs(cents) < 50.0) > 0.8
    loud = before[:, 2] > -50.0
    assert np.corrcoef(before[loud, 2], after[loud, 2])[0, 1] > 0.9


def test_any_block_gives_the_same() -> None:
    voice = read_clip(1.0)
    out, engine = play(voice, SHIPPED, (1, 700))
    np.testing.assert_array_equal(
        out[engine.delay :][: len(voice)], convert_array(voice, RATE, SHIPPED, {"ceiling": 0.0})
    )
