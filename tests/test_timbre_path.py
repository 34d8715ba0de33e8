"""What the runtime does for a model of domains: names for numbers, and a vocoder that hears of a moved octave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import mel_graph, mel_manifest
from made_vocoder import write_vocoder

from rtvox.chain import build_chain
from rtvox.commands.options import choose
from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, Array
from rtvox.manifest import Manifest
from rtvox.model_file import make_golden, write_model
from rtvox.params import Param, Params, Scale
from rtvox.pitch import HIGH_HZ
from rtvox.report import models_table

DOMAINS = "violin", "cello", "man"
DOMAIN = Param("domain", "", 0.0, 2.0, 0.0, 0.0, "what the voice becomes")
VOCODER = {"resynthesis": 3.0}


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
