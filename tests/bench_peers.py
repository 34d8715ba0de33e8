"""Time per second of sound on one core, and delay by design: ours beside what others stream, or could, in Python.

For docs/measurements.md, on a quiet machine: `OMP_NUM_THREADS=1 python tests/bench_peers.py`. Peers run with random
weights, which cost what trained ones do. Each is optional: torchaudio (in the extra `train`), and the others without
their dependencies, whose old versions they would pin, best in an environment of their own:

    pip install ".[train]" && pip install --no-deps openunmix vocos deepfilternet deepfilterlib loguru einops encodec
    pip install huggingface_hub
    git clone https://github.com/KoeAI/LLVC    # and --llvc LLVC: it is on no registry

Ours is the whole live path, analysis and synthesis included, hop by hop; theirs is the network alone, over all of the
sound at once, which is the cheapest way to run it: in blocks it costs more. LLVC runs in its own blocks of 13 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import process_time

from rtvox.demo import read_clip
from rtvox.engine import Engine
from rtvox.features import FeatureSpec
from rtvox.file_device import PushDevice
from rtvox.levels import SAMPLE_RATE
from rtvox.report import find_models, table

SECONDS = 10.0
Row = tuple[str, str, float, str]  # name, what it does, ms of computing per second of sound, delay by design


def ours() -> Iterator[Row]:
    """Yield a row for each shipped model."""
    hop = FeatureSpec().hop
    clip = read_clip(SECONDS)
    hops = clip[: len(clip) // hop * hop].reshape(-1, hop, 1)
    for path, manifest in find_models()[0].items():
        if manifest.role not in ("mask", "mel"):
            continue
        device = PushDevice(SAMPLE_RATE, hop)
        with Engine(device, provider="cpu") as engine:
            engine.load(path)
            engine.start()
            delay = (hop + engine._mixer.chain.delay) * 1000.0 / SAMPLE_RATE
            cost = timed(lambda device=device: [device.push(block) for block in hops])  # type: ignore[misc]
        yield f"rtvox {path.stem}", f"{manifest.title}, 48 kHz, whole path", cost, f"{delay:.1f} ms"


def open_unmix() -> Row:
    """Stöter and others 2019: one target, its LSTM in one direction, as it would have to be to stream."""
    import torch
    from openunmix.model import OpenUnmix

    network = OpenUnmix(nb_bins=2049, nb_channels=1, hidden_size=512, nb_layers=3, unidirectional=True).eval()
    spectra = torch.rand(1, 1, 2049, round(SECONDS * 44100 / 1024))
    return (
        "Open-Unmix, one direction",
        "one stem, 44.1 kHz",
        timed(lambda: network(spectra)),
        f"{4096 / 44.1:.1f} ms; as published, the whole file",
    )


def vocos() -> Row:
    """Siuzdak 2023, the published mel vocoder: 9 convolutions of 7 frames, half of each in the future."""
    import torch
    from vocos.heads import ISTFTHead
    from vocos.models import VocosBackbone

    backbone = VocosBackbone(input_channels=100, dim=512, intermediate_dim=1536, num_layers=8).eval()
    head = ISTFTHead(dim=512, n_fft=1024, hop_length=256).eval()
    mel = torch.randn(1, 100, round(SECONDS * 24000 / 256))
    delay = (9 * 3 * 256 + 1024) / 24.0
    return "Vocos", "vocoder alone, 24 kHz", timed(lambda: head(backbone(mel))), f"{delay:.0f} ms"


def deep_filter_net() -> Row:
    """Schröter and others 2023, DeepFilterNet 3: 20 ms of window and two frames of 10 ms to come."""
    import torch

    if "torchaudio.backend.common" not in sys.modules:  # gone from torchaudio; DeepFilterNet names a class of it
        common = types.ModuleType("torchaudio.backend.common")
        common.AudioMetaData = object  # type: ignore[attr-defined]
        sys.modules |= {"torchaudio.backend": types.ModuleType("torchaudio.backend"), common.__name__: common}
    from df.config import config
    from df.enhance import df_features
    from df.modules import get_device
    from libdf import DF

    config.use_defaults()
    config.set("DEVICE", "cpu", str, section="train")
    from df.deepfilternet3 import ModelParams, init_model

    shape = ModelParams()
    state = DF(shape.sr, shape.fft_size, shape.hop_size, shape.nb_erb)
    network = init_model(state, run_df=True, train_mask=True).eval()
    clip = torch.from_numpy(read_clip(SECONDS))[None]

    def run() -> None:
        network(*df_features(clip, state, shape.nb_df, device=get_device()))

    return "DeepFilterNet 3", "speech from noise, 48 kHz", timed(run), "40 ms"


def conv_tas_net() -> Row:
    """Luo and Mesgarani 2019, as torchaudio builds it: global normalisation, so it hears the whole file first."""
    import torch
    from torchaudio.models import conv_tasnet_base

    network, sound = conv_tasnet_base(num_sources=2).eval(), torch.randn(1, 1, round(SECONDS * 16000))
    return "Conv-TasNet", "two voices, 16 kHz", timed(lambda: network(sound)), "the whole file"


def hybrid_demucs() -> Row:
    """Défossez 2021, as torchaudio builds it."""
    import torch
    from torchaudio.models import hdemucs_high

    network, sound = hdemucs_high(["vocals", "rest"]).eval(), torch.randn(1, 2, round(SECONDS * 44100))
    return "Hybrid Demucs", "two stems, stereo, 44.1 kHz", timed(lambda: network(sound)), "the whole file"


def llvc(folder: Path) -> Row:
    """Sadov, Hutter and Near 2023, a voice converter, block by block as its `infer.py` streams."""
    import torch

    class PositionalEncoding(torch.nn.Module):
        """That of Vaswani and others 2017, for which alone LLVC asks for speechbrain."""

        def __init__(self, size: int, max_len: int = 2500) -> None:
            super().__init__()
            angle = torch.arange(max_len)[:, None] / 10000.0 ** (torch.arange(0, size, 2) / size)
            waves = torch.stack([angle.sin(), angle.cos()], dim=-1).reshape(1, max_len, size)
            self.register_buffer("pe", waves)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.pe[:, : x.shape[1]]  # type: ignore[index]

    name = "speechbrain.lobes.models.transformer.Transformer"
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].PositionalEncoding = PositionalEncoding  # type: ignore[attr-defined]
    sys.path.insert(0, str(folder))
    from model import Net

    config = json.loads((folder / "experiments/llvc/config.json").read_text())
    rate, network = config["data"]["sr"], Net(**config["model_params"]).eval()
    ahead, block = 2 * network.L, network.dec_chunk_size * network.L
    sound = torch.rand(1, 1, ahead + round(SECONDS * rate / block) * block) - 0.5

    def run() -> None:
        state = [
            *network.init_buffers(1, torch.device("cpu")),
            network.convnet_pre.init_ctx_buf(1, torch.device("cpu")),
        ]
        for at in range(0, sound.shape[-1] - ahead, block):
            _, *state = network(sound[..., at : at + ahead + block], *state, pad=not network.lookahead)

    return "LLVC", "one voice to one other, 16 kHz", timed(run), f"{1e3 * (ahead + block) / rate:.0f} ms"


PEERS: tuple[Callable[[], Row], ...] = (open_unmix, vocos, deep_filter_net, conv_tas_net, hybrid_demucs)


def timed(run: Callable[[], object], times: int = 3) -> float:
    """Return ms of processor time per second of sound, the least of some runs."""
    costs = []
    for _ in range(times):
        begin = process_time()
        run()
        costs.append(process_time() - begin)
    return min(costs) * 1000.0 / SECONDS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llvc", type=Path, metavar="FOLDER", help="a clone of github.com/KoeAI/LLVC")
    args = parser.parse_args()
    rows, missing = list(ours()), []
    try:
        import torch
    except ImportError as error:
        missing.append(f"all peers: {error}")
    else:
        torch.set_num_threads(1)
        torch.manual_seed(440)
        with torch.inference_mode():
            for peer in (*PEERS, *([partial(llvc, args.llvc)] if args.llvc else [])):
                try:
                    rows.append(peer())
                except Exception as error:  # not installed, or broken by newer packages: the others still count
                    missing.append(f"{getattr(peer, '__name__', 'llvc')}: {type(error).__name__}: {error}")
    lines = [(name, what, f"{cost:.0f} ms = {cost / 10.0:.1f} %", delay) for name, what, cost, delay in rows]
    print(table(("what", "task", "computing per second of sound", "delay by design"), lines, markdown=True))
    for line in missing:
        print(f"left out: {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
