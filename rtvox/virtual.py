"""Virtual microphone: what rtvox plays, a DAW or a call can choose as a microphone named "rtvox".

In: nothing but the wish. Out: two modules of PulseAudio, or of PipeWire in its place: an output `rtvox-output` for
rtvox to play into, and a microphone `rtvox` that hears it. They last until they are removed or the sound server ends.
Main thread. Read next: `pulse.py`.
"""

from __future__ import annotations

from rtvox.errors import DeviceError
from rtvox.pulse import pactl

MICROPHONE = "rtvox"
OUTPUT = "rtvox-output"

_MODULES = (
    (
        "module-null-sink",
        f"sink_name={OUTPUT} sink_properties=device.description={OUTPUT} format=float32le rate=48000 channels=2",
    ),
    (
        "module-remap-source",
        f"master={OUTPUT}.monitor source_name={MICROPHONE} source_properties=device.description={MICROPHONE}",
    ),
)


def create_virtual_mic() -> str:
    """Make the microphone, unless it is there, and return what to do with it.

    Raises: DeviceError if `pactl` is missing or no server answers; half-made parts are removed.
    """
    if len(_our_modules()) < len(_MODULES):
        remove_virtual_mic()
        try:
            for name, arguments in _MODULES:
                pactl("load-module", name, *arguments.split())
        except DeviceError:
            remove_virtual_mic()
            raise
    return f'now play into it with --output {OUTPUT}, and choose the microphone "{MICROPHONE}" in the other program'


def remove_virtual_mic() -> bool:
    """Remove the microphone; return whether there was one. Raises: DeviceError as `create_virtual_mic`."""
    modules = _our_modules()
    for number in reversed(modules):  # the microphone before the output that it hears
        pactl("unload-module", number)
    return bool(modules)


def _our_modules() -> list[str]:
    """Return the numbers of our modules, in the order they were loaded."""
    lines = (line.split("\t") for line in pactl("list", "short", "modules").splitlines())
    ours = {(name, arguments.split()[0]) for name, arguments in _MODULES}
    return [row[0] for row in lines if len(row) > 2 and (row[1], row[2].split(" ")[0]) in ours]
