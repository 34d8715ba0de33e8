"""Session: an engine with its devices, models, presets and recordings by name: what can be asked of it from outside.

In: names and values, from OSC or the command line. Out: an engine that does it, and `state`, how things stand. All that
changes something is called by one thread at a time (the OSC server's worker); `state` and `set` by any. Every change is
a transaction: what fails leaves all as it was. Read next: `osc_commands.py`, which speaks for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs

from rtvox import __version__
from rtvox.chain import NO_MODEL
from rtvox.device import Device
from rtvox.devices import NoDevice, SoundCard, find_pair
from rtvox.engine import Engine
from rtvox.errors import AudioFileError, ModelFileError, ParameterError, RtvoxError
from rtvox.file_names import clean_name, unused_path
from rtvox.manifest import SPEAKER, Manifest
from rtvox.model_file import model_folders
from rtvox.params import Param, Params, find_param
from rtvox.phonemes import check
from rtvox.presets import DeviceChoice, Preset, PresetFolder
from rtvox.report import CONVERTERS, find_models
from rtvox.tap_tempo import TapTempo

RECORDING_FORMATS = (".wav", ".flac")
OpenDevice = Callable[[DeviceChoice], Device]


def open_card(choice: DeviceChoice, channels_in: int | None = None) -> SoundCard:
    """Return the sound card that is meant. Raises: DeviceError, ParameterError."""
    return SoundCard(choice.input, choice.output, choice.block, choice.rate or None, channels_in)


def check_card(choice: DeviceChoice) -> None:
    """Raise DeviceError if no devices of these names are there."""
    find_pair(choice.input, choice.output)


class Session:
    """One engine, from the outside.

    Attributes:
        engine: what runs.
        devices: as they were asked for.
        model: the name of the model in use.
        fault: why there is no sound yet, or empty.
        models: path and manifest of all that are there, by name.
        voices: names of those that can speak.
    """

    def __init__(
        self,
        engine: Engine,
        devices: DeviceChoice | None = None,
        *,
        model: str = NO_MODEL,
        presets: Path | None = None,
        recordings: Path | None = None,
        open_device: OpenDevice = open_card,
        check_device: Callable[[DeviceChoice], None] = check_card,
    ) -> None:
        """Take over an engine that was made with these devices and this model.

        Args:
            presets, recordings: folders; None takes the user's own (settings; Music/rtvox).
            open_device, check_device: how devices are opened, and how their names are looked at before.
        """
        self.engine, self.model, self.fault = engine, model, ""
        self.devices = devices or DeviceChoice()
        self.presets = PresetFolder(presets)
        self._recordings = recordings or Path(platformdirs.user_music_dir()) / "rtvox"
        self._open_device, self._check_device = open_device, check_device
        self.models: dict[str, tuple[Path, Manifest]] = {}
        self.voices: tuple[str, ...] = ()
        self._seen: dict[Path, tuple[int, int]] | None = None  # time and size of the models' files
        self._presets: tuple[str, ...] = ()
        self._taps = TapTempo()
        self.look_again()

    def set(self, name: str, value: float | str) -> None:
        """Ask for a value of a control; text may name a switch's choice. Raises: ParameterError."""
        param = find_param(name, self.engine.params.table)
        self.engine.set(name, param.parse(value) if isinstance(value, str) else _as_meant(param, value))

    def tap(self) -> None:
        """Take a beat: the first holds the bar of a model that has one, the next set `tempo` and let it run.

        Raises: ParameterError if the model in use has no `tempo`.
        """
        table = self.engine.params.table
        tempo = find_param("tempo", table)
        bpm = self._taps.tap(time.monotonic())
        if bpm:
            self.engine.set("tempo", min(bpm, tempo.high))
        if "downbeat" in table:
            self.engine.set("downbeat", 0.0 if bpm else 1.0)

    def look_again(self) -> None:
        """See which models and presets there are now; models are read only if a file has changed."""
        files = [path for folder in model_folders() for path in folder.glob("*.onnx")]
        seen = {path: (stat.st_mtime_ns, stat.st_size) for path in files if (stat := path.stat())}
        if seen != self._seen:
            self._seen = seen
            every = find_models(every_role=True)[0].items()
            self.models = {path.stem: (path, manifest) for path, manifest in every if manifest.role in CONVERTERS}
            self.voices = tuple(path.stem for path, manifest in every if manifest.role == SPEAKER)
        self._presets = tuple(self.presets.names())

    def load_model(self, name: str) -> None:
        """Put a model of the models' folders in place of the one in use. Raises: ModelFileError."""
        self.engine.load(self._model_path(name))
        self.model = name

    def load_file(self, path: str, settings: Mapping[str, float]) -> None:
        """Load a model by the path that a user of this machine gave, then set controls. Raises: RtvoxError."""
        self.engine.load(path)
        self.model = Path(path).stem
        for name, value in settings.items():
            self.engine.set(name, value)

    def set_devices(self, choice: DeviceChoice) -> None:
        """Go on with these devices. Raises: DeviceError, ParameterError; the old ones then stay."""
        self._check_device(choice)  # so that a wrong name does not interrupt the sound
        self.engine.use(lambda: self._open_device(choice))
        self.devices, self.fault = choice, ""

    def start(self) -> None:
        """Convert; open the devices first if none are. Raises: DeviceError, ParameterError."""
        if isinstance(self.engine.device, NoDevice):
            self.set_devices(self.devices)
        self.engine.start()
        self.fault = ""

    def record(self, name: str) -> Path:
        """Record to a file of about this name in the recordings folder; return its path. Raises: AudioFileError."""
        name = clean_name(name or time.strftime("rtvox %Y-%m-%d %H.%M.%S"))
        path = self._recordings / (name if name.lower().endswith(RECORDING_FORMATS) else f"{name}.wav")
        try:
            self._recordings.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AudioFileError(f"{self._recordings}: cannot record there ({error.strerror})") from None
        path = unused_path(path)
        self.engine.record(path)
        return path

    def say(self, text: str, voice: str = "") -> None:
        """Say a text as if into the microphone, in a voice (empty: the last one, or the first). Raises: RtvoxError."""
        from rtvox.speaker import Speaker  # what they need is loaded only if something is said
        from rtvox.speech import Speech

        check(text)
        speech = self.engine.speech
        if speech is None or voice not in ("", speech.speaker.name):
            if speech:
                speech.close()
            speech = self.engine.speech = Speech(Speaker(voice or None))
        speech.say(text)

    def save_preset(self, name: str, with_devices: bool = False) -> Path:
        """Write all as it is now under this name. Raises: PresetError, ParameterError."""
        preset = Preset(self.model, self.engine.params.values(), self.devices if with_devices else None)
        path = self.presets.save(name, preset)
        self._presets = tuple(self.presets.names())
        return path

    def delete_preset(self, name: str) -> None:
        """Remove a preset. Raises: PresetError, ParameterError."""
        self.presets.delete(name)
        self._presets = tuple(self.presets.names())

    def load_preset(self, name: str) -> None:
        """Be as a preset says. Raises: RtvoxError of any kind; then nothing has changed."""
        preset, devices = self.presets.load(name), self.devices
        path = self._model_path(preset.model)
        table = Params()
        if preset.model != NO_MODEL:
            table.join(self.models[preset.model][1].controls)
        for control, value in preset.controls.items():
            table.set(control, value)
        if preset.devices and preset.devices != devices:
            self.set_devices(preset.devices)
        try:
            if preset.model != self.model:
                self.engine.load(path)
        except RtvoxError:
            if self.devices != devices:
                self.set_devices(devices)
            raise
        self.model = preset.model
        for control, value in preset.controls.items():
            self.engine.set(control, value)

    def state(self) -> dict[str, tuple[float | int | str, ...]]:
        """Return the addresses of `osc_tree.STATE`, and then one per control, with their values. Any thread."""
        engine, card = self.engine, self.engine.device
        values, own = engine.params.values(), [control.name for control in engine.params.joined]
        rows = [row.full_name for row in card.rows] if isinstance(card, SoundCard) else ["", ""]
        return {
            "/rtvox/version": (__version__,),
            "/rtvox/controls": tuple(own),
            "/rtvox/model": (self.model,),
            "/rtvox/record": (engine.recording,),
            "/rtvox/device/input": (rows[0],),
            "/rtvox/device/output": (rows[1],),
            "/rtvox/device/block": (card.max_block,),
            "/rtvox/device/rate": (card.sample_rate,),
            "/rtvox/models": (NO_MODEL, *self.models),
            "/rtvox/voices": self.voices,
            "/rtvox/presets": self._presets,
            **{f"/rtvox/param/{name}": (value,) for name, value in values.items()},
        }

    def _model_path(self, name: str) -> str:
        if name == NO_MODEL:
            return name
        if name not in self.models:
            self.look_again()
        if name not in self.models:
            raise ModelFileError(f"model {name!r}: not there; there are {', '.join([NO_MODEL, *self.models])}")
        return str(self.models[name][0])


def _as_meant(param: Param, value: float) -> float:
    """Return a limit for what is that limit but for the rounding to float32, which OSC's `f` is."""
    for limit in (param.low, param.high):
        if value == float(np.float32(limit)):
            return limit
    return value


def with_changes(choice: DeviceChoice, **changes: str | int) -> DeviceChoice:
    """Return a choice with some of its parts replaced; empty text means the default."""
    known = {name: (value or None) if isinstance(value, str) else value for name, value in changes.items()}
    if int(known.get("rate") or 0) < 0:
        raise ParameterError(f"rate={known['rate']}: needs 0 (the devices' own) or more")
    return replace(choice, **known)  # type: ignore[arg-type]
