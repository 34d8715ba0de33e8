"""Flags that several commands share, and what they mean. Main thread."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rtvox.errors import ParameterError
from rtvox.providers import AUTO, PROVIDERS

if TYPE_CHECKING:
    from rtvox.features import FeatureSpec
    from rtvox.osc_server import OscServer
    from rtvox.presets import DeviceChoice
    from rtvox.session import Session

DEFAULT_MODEL = "isolate"


@dataclass(frozen=True)
class Choice:
    """What --model and --set ask for, checked."""

    model: str  # as the engine takes it: a path, or "none"
    spec: FeatureSpec
    settings: dict[str, float]


def add_models_dir(parser: argparse.ArgumentParser) -> None:
    """Add --models-dir: one more folder to look in, ahead of the others."""
    parser.add_argument(
        "--models-dir",
        metavar="DIR",
        action=_ModelsDir,
        help="look for models in DIR first, then in $RTVOX_MODELS, ./checkpoints and rtvox's own",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add --model, --models-dir, --provider and --set."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME",
        help="a name that `rtvox models` lists, the path of an .onnx file, or none: the sound goes through all "
        "but a model (default: %(default)s)",
    )
    add_models_dir(parser)
    add_provider(parser)
    add_settings(parser, "set a control of rtvox or of the model (README.md lists them)")


def add_settings(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --set; `what` begins its help."""
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="NAME=VALUE", help=f"{what}; may be repeated"
    )


def add_provider(parser: argparse.ArgumentParser) -> None:
    """Add --provider."""
    parser.add_argument(
        "--provider",
        choices=(AUTO, *PROVIDERS),
        default=AUTO,
        help="where models run; auto tries what is there when a model is loaded, and takes the fastest that is fast "
        "enough (default: %(default)s)",
    )


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Add --input, --output, --block and --rate."""
    names = "a number or a part of a name that `rtvox devices` lists (default: the system's)"
    parser.add_argument("--input", metavar="NAME", help=f"the microphone: {names}")
    parser.add_argument("--output", metavar="NAME", help=f"where it sounds: {names}")
    parser.add_argument(
        "--block", type=int, default=128, metavar="N", help="samples per callback (default: %(default)s)"
    )
    parser.add_argument(
        "--rate", type=int, metavar="HZ", help="of the devices (default: 48000 if they can, else theirs)"
    )


def add_cores(parser: argparse.ArgumentParser) -> None:
    """Add --cores."""
    parser.add_argument(
        "--cores", metavar="N,N", help="run on these processor cores only, counted from 0 (default: any; not on macOS)"
    )


def use_cores(args: argparse.Namespace) -> None:
    """Do what --cores says, before threads are made. Raises: ParameterError."""
    from rtvox.priority import keep_to

    if args.cores is None:
        return
    try:
        cores = [int(core) for core in args.cores.split(",")]
    except ValueError:
        raise ParameterError(f"--cores {args.cores}: needs numbers of cores, with commas") from None
    keep_to(cores)


def add_osc(parser: argparse.ArgumentParser) -> None:
    """Add --osc-port, --osc-host, --osc-allow, --presets and --recordings."""
    parser.add_argument(
        "--osc-port", type=int, metavar="N", help="UDP and TCP port of OSC (default: 9000; 0: one that is free)"
    )
    parser.add_argument(
        "--osc-host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where OSC listens (default: %(default)s, this machine only; 0.0.0.0: all networks)",
    )
    parser.add_argument(
        "--osc-allow",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="let only this address or network (192.168.1.0/24) steer it; may be repeated",
    )
    parser.add_argument("--presets", type=Path, metavar="DIR", help="folder of presets (default: the user's settings)")
    parser.add_argument(
        "--recordings", type=Path, metavar="DIR", help="folder for recordings asked for over OSC (default: Music/rtvox)"
    )


def osc_server(args: argparse.Namespace, session: Session, end: Callable[[], object]) -> OscServer:
    """Return a server, to be started, for what --osc-... say; `end` is what /rtvox/quit does. Raises: OscError."""
    from rtvox.osc_commands import Commands
    from rtvox.osc_server import OscServer
    from rtvox.osc_tree import PORT

    port = PORT if args.osc_port is None else args.osc_port
    if not 0 <= port < 65536:
        raise ParameterError(f"--osc-port {port}: needs 0 to 65535")
    return OscServer(Commands(session, end), args.osc_host, port, args.osc_allow)


def announce(server: OscServer, args: argparse.Namespace) -> None:
    """Print where OSC listens, and warn if others than this machine can reach it."""
    print(f"OSC on {args.osc_host}:{server.port}", file=sys.stderr, flush=True)
    if not server.is_local:
        whom = f"at {', '.join(args.osc_allow)}" if args.osc_allow else "on that network (--osc-allow names some only)"
        print(f"rtvox: warning: everybody {whom} can steer this engine over OSC", file=sys.stderr, flush=True)


def device_choice(args: argparse.Namespace) -> DeviceChoice:
    """Return what --input, --output, --block and --rate ask for."""
    from rtvox.presets import DeviceChoice

    return DeviceChoice(args.input, args.output, args.block, args.rate or 0)


def choose(model: str, settings: Sequence[str]) -> Choice:
    """Find the model and read the settings against its controls and rtvox's own.

    Raises: ModelFileError if the model cannot be used, ParameterError if a setting is not allowed.
    """
    from rtvox.chain import NO_MODEL, check_converter
    from rtvox.features import FeatureSpec
    from rtvox.model_file import find_model, read_manifest
    from rtvox.params import Params, parse_setting

    params, spec = Params(), FeatureSpec()
    if model != NO_MODEL:
        model = str(find_model(model))
        manifest = read_manifest(model)
        check_converter(model, manifest)
        params.join(manifest.rows)
        spec = manifest.features
    return Choice(model, spec, dict(parse_setting(setting, params.table) for setting in settings))


class _ModelsDir(argparse.Action):
    """Put the folder in front of RTVOX_MODELS, which `rtvox.model_file.model_folders` reads."""

    def __call__(self, parser: object, namespace: object, values: object, option_string: object = None) -> None:
        if not Path(str(values)).is_dir():
            raise ParameterError(f"--models-dir {values}: needs a folder of .onnx files")
        others = os.environ.get("RTVOX_MODELS")
        os.environ["RTVOX_MODELS"] = f"{values}{os.pathsep}{others}" if others else str(values)
