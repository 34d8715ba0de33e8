"""List the sound devices, or make a virtual microphone.

The first column, or any part of a name that means one device only, is what --input and --output take; * marks the
default of its host. With --virtual create, PulseAudio or PipeWire gets a microphone named rtvox that a DAW or a call
can choose; what goes to the output rtvox-output comes out of it.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--virtual", choices=("create", "remove"), help="make or remove the virtual microphone (PulseAudio, PipeWire)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the table, or change the virtual microphone."""
    from rtvox.devices import list_devices
    from rtvox.report import table
    from rtvox.virtual import create_virtual_mic, remove_virtual_mic

    if args.virtual == "create":
        print(create_virtual_mic())
        return 0
    if args.virtual == "remove":
        print("removed" if remove_virtual_mic() else "there was no virtual microphone of rtvox")
        return 0
    rows = [
        [
            str(number),
            row.host,
            row.name,
            _side(row.inputs, row.default_input),
            _side(row.outputs, row.default_output),
            f"{row.sample_rate}",
            row.description,
        ]
        for number, row in enumerate(list_devices())
    ]
    print(table(["", "host", "name", "in", "out", "Hz", ""], rows))
    if not rows:
        print("no sound device: plug one in, or start a sound server (PulseAudio, PipeWire, JACK)")
    return 0


def _side(channels: int, is_default: bool) -> str:
    return f"{channels}{'*' if is_default else ''}" if channels else "-"
