"""Convert sound files through a model, faster than real time.

For example:
  rtvox convert song.flac vocal.wav                     the vocal of a song
  rtvox convert song.flac band.wav --set part=1         the band without it
  rtvox convert takes/ converted/ --model isolate       every sound file of a folder
  rtvox convert a.wav b.wav --model none --set resynthesis=griffin-lim    a copy from its own mel spectrum alone
  rtvox convert a.wav b.wav --model none --set resynthesis=vocoder        the same, by the neural vocoder

Any format of libsndfile goes in and out. Rate, channels, length and sample format are kept, each channel is
converted for itself, and the output is aligned with the input to the sample.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rtvox.commands.options import add_model, choose


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("sources", nargs="+", type=Path, metavar="IN", help="a sound file, or a folder of them")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="a sound file; a folder if IN is a folder or several files"
    )
    add_model(parser)


def run(args: argparse.Namespace) -> int:
    """Convert one file after the other; a bad one is reported and does not stop the others."""
    from tqdm import tqdm

    from rtvox.convert import convert_file, plan
    from rtvox.errors import AudioFileError

    choice = choose(args.model, args.settings)
    jobs = plan(args.sources, args.out)
    failed = 0
    for job in jobs:
        # Seconds of sound; shown in a terminal only.
        with tqdm(desc=job.source.name, unit="s", unit_scale=True, disable=None, leave=len(jobs) == 1) as bar:

            def show(done: float, whole: float, bar: Any = bar) -> None:
                bar.total = whole
                bar.update(done - bar.n)

            try:
                result = convert_file(
                    job, choice.model, choice.settings, spec=choice.spec, provider=args.provider, progress=show
                )
            except AudioFileError as error:
                if len(jobs) == 1:
                    raise
                failed += 1
                bar.clear()
                print(f"rtvox: error: {error}", file=sys.stderr)
                continue
        if result.repaired:
            print(f"{job.source}: {result.repaired} samples were not numbers, taken as silence", file=sys.stderr)
        print(f"{job.target}  {result.seconds:.1f} s, {result.channels} ch, {result.sample_rate} Hz")
    if failed:
        print(f"rtvox: error: {failed} of {len(jobs)} files could not be converted", file=sys.stderr)
        return AudioFileError.exit_code
    return 0
