"""Presets: a model, the controls and, if wanted, the devices, in one small TOML file that people can read and write.

In: a Preset, or a file. Out: the other one; every number comes back as it was, bit for bit. Any thread. Read next:
`session.py`, which takes and applies them.

    model = "isolate"

    [controls]
    mix = 0.8
    part = 0.0

    [devices]              # only if they were saved, too; what is left out is the system's default
    input = "JACK: system"
    block = 128
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
import tomli_w

from rtvox import __version__
from rtvox.errors import PresetError
from rtvox.file_names import check_name

MAX_BYTES = 65536  # far above any preset


@dataclass(frozen=True)
class DeviceChoice:
    """Which devices a user asks for, as `rtvox live` takes them; None and 0 leave it to the system."""

    input: str | None = None
    output: str | None = None
    block: int = 128
    rate: int = 0


@dataclass(frozen=True)
class Preset:
    """What a preset file says; a control that it does not name stays as it is."""

    model: str
    controls: Mapping[str, float] = field(default_factory=dict)
    devices: DeviceChoice | None = None


class PresetFolder:
    """A folder of presets, one `.toml` file each."""

    def __init__(self, path: Path | None = None) -> None:
        """Use path, or the user's own folder for settings; it is made when something is saved."""
        self.path = path or Path(platformdirs.user_config_dir("rtvox", appauthor=False)) / "presets"

    def names(self) -> list[str]:
        """Return the names of all presets, sorted."""
        return sorted(path.stem for path in self.path.glob("*.toml"))

    def load(self, name: str) -> Preset:
        """Return the preset of this name. Raises: PresetError, ParameterError for a name that is a path."""
        path = self._file(name)
        try:
            data = path.read_bytes()
            if len(data) > MAX_BYTES:
                raise PresetError(f"{path}: {len(data)} bytes; a preset has at most {MAX_BYTES}")
            return _parse(path, tomllib.loads(data.decode("utf-8")))
        except FileNotFoundError:
            known = ", ".join(self.names()) or "none is there yet"
            raise PresetError(f"preset {name!r}: not found in {self.path}; there are: {known}") from None
        except (OSError, ValueError, RecursionError) as error:  # ValueError: not TOML, not UTF-8
            raise PresetError(f"{path}: not a preset ({error})") from None

    def save(self, name: str, preset: Preset) -> Path:
        """Write a preset, in place of one of the same name; return its path. Raises: PresetError, ParameterError."""
        path = self._file(name)
        document: dict[str, Any] = {"model": preset.model, "controls": dict(preset.controls)}
        if preset.devices:
            document["devices"] = {key: value for key, value in asdict(preset.devices).items() if value is not None}
        text = f"# A preset of rtvox {__version__}\n{tomli_w.dumps(document)}"
        beside = path.with_name(f".{path.name}.{os.getpid()}")  # whole or not at all, whenever the power goes
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
        except OSError as error:
            raise PresetError(f"{path}: cannot be written ({error.strerror})") from None
        return path

    def delete(self, name: str) -> None:
        """Remove a preset. Raises: PresetError, ParameterError."""
        path = self._file(name)
        try:
            path.unlink()
        except OSError as error:
            raise PresetError(f"{path}: cannot be removed ({error.strerror})") from None

    def _file(self, name: str) -> Path:
        return self.path / f"{check_name(name)}.toml"


def _parse(path: Path, document: dict[str, Any]) -> Preset:
    model, controls, devices = (document.pop(key, default) for key, default in _DEFAULTS)
    if not isinstance(model, str) or document:
        raise PresetError(f"{path}: needs model, [controls] and [devices], has {[*document] or model}")
    if not isinstance(controls, dict) or not all(_is_number(value) for value in controls.values()):
        raise PresetError(f"{path}: [controls] needs a number for each name")
    if devices is None:
        return Preset(model, {name: float(value) for name, value in controls.items()})
    kinds = {"input": str, "output": str, "block": int, "rate": int}
    if not isinstance(devices, dict) or not all(type(value) is kinds.get(key) for key, value in devices.items()):
        raise PresetError(f"{path}: [devices] needs input and output as text, block and rate as whole numbers")
    return Preset(model, {name: float(value) for name, value in controls.items()}, DeviceChoice(**devices))


_DEFAULTS: tuple[tuple[str, Any], ...] = (("model", None), ("controls", {}), ("devices", None))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
