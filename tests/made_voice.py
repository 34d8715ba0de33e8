"""A voice for tests: the shipped kind of network, tiny and untrained. Every token lasts about as long."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from conftest import mel_manifest

from export.networks.say import Say
from export.speaker_onnx import to_speaker_graph
from export.to_onnx import runner
from rtvox.features import MEL_SPEC
from rtvox.manifest import TensorShape, signal_in, signal_out
from rtvox.model_file import make_golden, write_model


def tiny_voice() -> Say:
    """Return a network whose weights are those of its start."""
    torch.manual_seed(440)
    return Say(MEL_SPEC, channels=12, blocks=1, hidden=18, smooth=8).eval()


def write_voice(path: Path, resynthesis: str = "griffin-lim") -> Path:
    """Write it as a model file; return its path."""
    network = tiny_voice()
    manifest = replace(
        mel_manifest(MEL_SPEC),
        name=path.stem,
        title="Nobody, English",
        role="speaker",
        inputs=(signal_in("speaker", MEL_SPEC),),
        outputs=(signal_out("speaker", MEL_SPEC),),
        states=tuple(TensorShape(n, (1, *s)) for n, s in zip(network.states, network.state_shapes, strict=True)),
        controls=network.controls,
        domains=("en-us",),
        resynthesis=resynthesis,
    )
    golden = make_golden(manifest, runner(network), manifest.golden.frames, manifest.golden.seed)
    write_model(path, to_speaker_graph(network), replace(manifest, golden=golden))
    return path
