# SPDX-License-Identifier: GPL-3.0-or-later
"""ACTIONS: the one table of what keys, buttons and MIDI notes do; README's table of keys is held to it by a test.

Data only. `window.py` says how each is done. Read next: `controls.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """One thing to do: `key` as Qt writes it, `address` the OSC command behind it, or "" where there is none."""

    name: str
    key: str
    address: str
    doc: str


ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        Action("live", "S", "/rtvox/start", "Start the sound, or stop it."),
        Action("bypass", "B", "/rtvox/param/bypass", "Pass the voice through untouched, at the same delay."),
        Action("mute", "M", "/rtvox/param/mute", "Silence the output."),
        Action("panic", "Esc", "/rtvox/panic", "Silence now: muted, all that was heard forgotten, gains safe."),
        Action("record", "R", "/rtvox/record", "Record wet and dry sound, or end the recording."),
        Action("compare", "A", "", "Compare: hear the other of two settings, A and B."),
        Action("copy", "Shift+A", "", "Make the other side of the comparison the same as this one."),
        Action("preset_next", "PgDown", "/rtvox/preset/load", "Load the next preset."),
        Action("preset_previous", "PgUp", "/rtvox/preset/load", "Load the preset before."),
        Action("preset_save", "Ctrl+S", "/rtvox/preset/save", "Save a preset under the name that is shown."),
        Action("mix_down", "[", "/rtvox/param/mix", "Less of the converted voice."),
        Action("mix_up", "]", "/rtvox/param/mix", "More of the converted voice."),
        Action("input_down", ",", "/rtvox/param/input_gain", "Input gain down."),
        Action("input_up", ".", "/rtvox/param/input_gain", "Input gain up."),
        Action("output_down", "-", "/rtvox/param/output_gain", "Output gain down."),
        Action("output_up", "=", "/rtvox/param/output_gain", "Output gain up."),
        Action("gate_down", ";", "/rtvox/param/gate_threshold", "Gate threshold down."),
        Action("gate_up", "'", "/rtvox/param/gate_threshold", "Gate threshold up."),
        *(Action(f"model_{n}", str(n), "/rtvox/model", f"Load model {n}.") for n in range(1, 10)),
        Action("model_none", "0", "/rtvox/model", "No model: analysis and synthesis alone."),
        Action("spectra", "F2", "", "Show the spectrograms."),
        Action("setup", "F3", "", "Show devices, MIDI and looks."),
        Action("history", "F4", "", "Show load and misses of the last minutes."),
        Action("learn", "L", "", "MIDI learn: click a control, then move a knob or press a key."),
        Action("theme", "T", "", "Dark, light, or as the desktop."),
        Action("fullscreen", "F11", "", "Fill the screen, or leave it."),
        Action("help", "F1", "", "Show these keys."),
    )
}
NUDGES: dict[str, tuple[str, float]] = {  # action -> control, and by how many hundredths of its range
    "mix_down": ("mix", -5.0),
    "mix_up": ("mix", 5.0),
    "input_down": ("input_gain", -1.0 / 0.84),  # 1 dB of 84
    "input_up": ("input_gain", 1.0 / 0.84),
    "output_down": ("output_gain", -1.0 / 0.84),
    "output_up": ("output_gain", 1.0 / 0.84),
    "gate_down": ("gate_threshold", -1.0),
    "gate_up": ("gate_threshold", 1.0),
}


def listed() -> list[tuple[str, str]]:
    """Return keys and what they do, for people: those of the models in one line."""
    rows = [(action.key, action.doc) for action in ACTIONS.values() if not action.name.startswith("model_")]
    first = next(row for row, (key, _) in enumerate(rows) if key == "F2")
    rows[first:first] = [("1 to 9", "Load a model by its place."), ("0", ACTIONS["model_none"].doc)]
    return rows
