# SPDX-License-Identifier: GPL-3.0-or-later
"""The window of rtvox: a process of its own that steers an engine over OSC, as any patch or phone can.

What happens, from the engine to the screen and back::

    engine -> OSC -> RemoteEngine (thread: queue; main thread: poll at 30 Hz) -> signals -> widgets
    hand, key, MIDI -> widget `asked`, or an action -> RemoteEngine -> OSC -> engine

The files by job:

* the engine from afar, no widget in it: `remote` (RemoteEngine: the connection, both ways), `mirror` (Mirror: what
  the engine has told), `launch` (Launcher: starting one), `caretaker`
  (Caretaker: whether to), `compare` (Compare: A and B), `midi` (Midi: what is learnt)
* tables and looks: `actions` (ACTIONS: keys, buttons, notes), `theme` (dark, light), `settings` (Settings: what stays)
* widgets: `controls` (Fader, Choice, Toggle, OscTip), `meter` (Meter, Ballistics), `spectrogram` (Spectrogram),
  `figures` (StateLamp, Figures, LatencyBar), `cards` (Cards: models), `banner` (Banner: faults and notes)
* put together: `panels` (strips, faders, presets, transport; Binder ties them to the engine), `setup` (Setup: devices,
  MIDI, looks), `history` (History: plots), `say` (SayLine), `board` (Board: all in its place), `learn` (Learner),
  `window` (Window: what actions do), `__main__`

It imports nothing of rtvox but `rtvox.params` and `rtvox.osc`. It is under the GPL, version 3 or later (LICENSE beside
this file), as PyQt6 asks; the rest of rtvox is not.
Read in this order: `remote`, `mirror`, `controls`, `panels`, `window`.
"""
