"""Hear and see what each model does: figures here, sound files and a picture in a folder.

Each row is one model that heard the bundled clip in real time, paced as by a sound card:
delay    from its microphone to its speaker on an infinitely fast machine (hop, framing, look-ahead)
load     mean and 99th percentile of the time that one hop of 5.33 ms took, in parts of the hop
misses   callbacks that found no converted sound in time
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rtvox.commands.options import add_models_dir, add_provider


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where to write (default: demo)")
    parser.add_argument("--seconds", type=float, metavar="S", help="the first S seconds of the clip only")
    parser.add_argument("--fast", action="store_true", help="as fast as the machine can: nothing is ever late then")
    add_models_dir(parser)
    add_provider(parser)


def run(args: argparse.Namespace) -> int:
    """Play, print, write, draw."""
    from rtvox.demo import draw, play_models, read_clip, write_sound
    from rtvox.errors import MissingExtraError, ModelFileError
    from rtvox.report import find_models, in_ms
    from rtvox.synthesis import algorithmic_delay

    clip = read_clip(args.seconds)
    models, faults = find_models()
    for fault in faults:
        print(f"rtvox: error: {fault}", file=sys.stderr)
    if not models:
        raise ModelFileError("no model found; name a folder of .onnx files with --models-dir")
    print(f"{len(clip) / 48000:.1f} s of song through each model{'' if args.fast else ', in real time'}:")
    print(f"{'model':<16}{'delay':>10}{'load mean':>12}{'load p99':>11}{'misses':>9}", flush=True)
    sounds = {"original": clip}
    for take in play_models(models, clip, provider=args.provider, clock="fake" if args.fast else "real"):
        sounds[take.title] = take.sound
        if not take.setting:
            delay, status = in_ms(algorithmic_delay(take.manifest)), take.status
            figures = f"{status.load:>12.1%}{status.compute_p99_ms / take.hop_ms:>11.1%}{status.misses:>9}"
            print(f"{take.name:<16}{delay:>10}{figures}", flush=True)
    for title, sound in sounds.items():
        write_sound(args.out / f"{title}.wav", sound)
    print(f"in {args.out}: {', '.join(f'{title}.wav' for title in sounds)}")
    try:
        draw(args.out / "spectrograms.png", sounds)
        print(f"in {args.out}: spectrograms.png")
    except MissingExtraError as error:
        print(error, file=sys.stderr)
    return 0
