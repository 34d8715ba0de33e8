"""JSON values as frozen dataclasses, checked: every field there, none too many, each of its type. Pure, any thread.

In: what `json.loads` gave, from a file that anybody may have written. Out: values, or a ModelFileError that names the
field, its value and what is allowed. Read next: `manifest.py`, the only dataclass read so.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from rtvox.errors import ModelFileError, ParameterError

FORMAT = 1  # of manifests
MAX_TEXT = 4096  # characters of one field


def printable(text: object, length: int = 400) -> str:
    """Return text that comes from a file as one line for a message: no control characters, and not endless."""
    line = "".join(letter if letter.isprintable() else "?" for letter in str(text))
    return line if len(line) <= length else f"{line[: length - 3]}..."


def need(holds: object, field: str, value: object, allowed: str) -> None:
    """Raise ModelFileError that names a manifest's field, its value and what is allowed, unless it holds."""
    if not holds:
        shown = printable(repr(value), 80)
        raise ModelFileError(f"manifest field {printable(field, 80)}={shown}: needs {allowed}")


def convert(kind: Any, value: Any, where: str) -> Any:
    """Return a value that came from JSON as `kind`: a scalar, tuple[X, ...], dict[str, X], X | Y, or a dataclass."""
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _object(kind, value, where)
    if origin is tuple:
        need(isinstance(value, list), where, value, "a list")
        return tuple(convert(inner[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        need(isinstance(value, dict), where, value, "an object")
        return {convert(str, key, where): convert(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    if inner:  # X | Y
        kind = str if isinstance(value, str) else inner[0]
    if kind is str:
        fits = isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable()
        need(fits, where, value, "one line of text")
        return value
    whole = type(value) is int and abs(value) < 2**53
    if kind is int:
        need(whole, where, value, "a whole number")
        return value
    need(whole or (type(value) is float and math.isfinite(value)), where, value, "a finite number")
    return float(value)


def _object(kind: Any, value: Any, where: str) -> Any:
    need(isinstance(value, dict), where or "(all)", value, "an object")
    known = [field.name for field in fields(kind)]
    prefix = f"{where}." if where else ""
    for name in known:
        if name not in value:
            raise ModelFileError(f"manifest field {prefix}{name} is missing: export the model again")
    for name in value:
        need(name in known, f"{prefix}{name}", value[name], f"a field of format {FORMAT}: {', '.join(known)}")
    hints = get_type_hints(kind)
    try:
        return kind(**{name: convert(hints[name], value[name], f"{prefix}{name}") for name in known})
    except ParameterError as error:
        raise ModelFileError(f"manifest field {where}: {error}") from None
