"""Names that come from others, as file names that stay in their folder.

In: any text. Out: a name that is the same file on every system. Stateless; any thread. Read next: `presets.py`.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from rtvox.errors import ParameterError

MAX_LENGTH = 100  # characters; in UTF-8 at most 400 bytes, cut to what file systems take (255)
MAX_BYTES = 200
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')  # Windows forbids the most
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # and these names


def clean_name(text: str) -> str:
    """Return text as a file name: one part, no leading or trailing dot or blank, nothing that any system forbids.

    Raises: ParameterError if nothing is left.

    >>> clean_name("../../etc/passwd")
    '_.._etc_passwd'
    >>> clean_name("Take 7: loud?")
    'Take 7_ loud_'
    """
    name = unicodedata.normalize("NFC", "".join(c for c in text[:MAX_LENGTH] if c.isprintable() or c < " "))
    name = _FORBIDDEN.sub("_", name).encode("utf-8", "ignore")[:MAX_BYTES].decode("utf-8", "ignore").strip(" .")
    if not name.strip("_"):
        raise ParameterError(f"{text[:MAX_LENGTH]!r}: needs a name with a letter or a digit")
    return f"{name}_" if _RESERVED.fullmatch(name) else name


def check_name(text: str) -> str:
    """Return text if it is a file name as `clean_name` makes them; raise ParameterError if not."""
    if clean_name(text) != text:
        raise ParameterError(f'{text[:MAX_LENGTH]!r}: needs a name, not a path, without any of / \\ : * ? " < > |')
    return text


def unused_path(path: Path) -> Path:
    """Return path, or `NAME 2`, `NAME 3` ... beside it if there is such a file, or its dry half, already."""
    number, free = 1, path
    while free.exists() or free.with_stem(f"{free.stem}-dry").exists():
        number += 1
        free = path.with_stem(f"{path.stem} {number}")
    return free
