"""Say a text in the voice of a model: into a file, or into the engine that runs.

For example:
  rtvox say "Good evening, Berlin." -o evening.wav      a file, faster than it lasts
  rtvox say "Good evening, Berlin."                     as if into the microphone of the engine on this machine
  rtvox say - -o book.flac --set speed=0.9 < book.txt   a long text, a little slower

How words are spoken, espeak-ng says, which must be installed. Sentences follow each other without a gap.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rtvox.commands.options import add_models_dir, add_settings

SAMPLES = "PCM_16"  # of a file, where its format has them

ANSWER_S = 10.0  # a voice is loaded in one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads it from the standard input")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write a sound file (default: say it live)")
    parser.add_argument("--voice", metavar="NAME", help="a model of role speaker (default: the first there is)")
    add_settings(parser, "set a control of the voice (speed), or resynthesis, of a file")
    add_models_dir(parser)
    parser.add_argument("--osc-port", type=int, metavar="N", help="where the engine listens (default: 9000)")


def run(args: argparse.Namespace) -> int:
    """Say it."""
    from rtvox.errors import ParameterError

    text = sys.stdin.read() if args.text == "-" else args.text
    if args.out:
        return _to_file(args, text)
    if args.settings:
        raise ParameterError(f"--set {args.settings[0]}: holds for files; a running engine has its own controls")
    return _to_engine(args, text)


def _to_file(args: argparse.Namespace, text: str) -> int:
    from rtvox.convert import sound_format, write_sound
    from rtvox.levels import SAMPLE_RATE
    from rtvox.model_file import read_manifest
    from rtvox.params import PARAMS, parse_setting
    from rtvox.phonemes import check
    from rtvox.speaker import Speaker, find_voice

    check(text)
    sound_format(args.out, SAMPLES)  # said before any work is done
    voice = find_voice(args.voice)
    rows = {row.name: row for row in read_manifest(voice).rows} | {"resynthesis": PARAMS["resynthesis"]}
    speaker = Speaker(str(voice), dict(parse_setting(setting, rows) for setting in args.settings))
    with write_sound(args.out, SAMPLE_RATE, 1, SAMPLES) as file:
        for hop in speaker.say(text):
            file.write(hop)
        seconds = file.frames / SAMPLE_RATE
    print(f"{args.out}  {seconds:.1f} s, {speaker.name}, {speaker.synthesis}")
    return 0


def _to_engine(args: argparse.Namespace, text: str) -> int:
    from rtvox.errors import OscError, ParameterError
    from rtvox.osc import MAX_PACKET, OscClient
    from rtvox.osc_tree import PORT

    if len(text.encode()) > MAX_PACKET // 2:
        raise ParameterError(f"text of {len(text)} characters: too long for one message to an engine; -o writes a file")
    port = PORT if args.osc_port is None else args.osc_port
    with OscClient("127.0.0.1", port) as client:
        try:
            client.call("/rtvox/say", text, args.voice or "", timeout_s=ANSWER_S)
        except OscError as error:
            raise OscError(f"{error}; `rtvox live` starts an engine, -o FILE needs none") from None
    return 0
