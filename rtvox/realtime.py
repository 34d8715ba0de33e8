"""What Python itself must do, and not do, while sound runs.

`hold` and `release` bracket the time: no garbage collection, but for `collect`, and a switch interval far under a hop.
`keep_memory_compact` is for good: memory that does not grow with every model that comes and goes.
Read next: `priority.py`, for what threads ask of the system; `engine.py` and `keeper.py`, the users of this.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import threading
from functools import cache
from typing import Any

# Longest wait of the audio callback for the interpreter, when another thread computes in Python; the default is 5 ms.
SWITCH_INTERVAL_S = 1e-4

LARGE = 1 << 17  # bytes, malloc's own limit at first; nothing that sound needs per hop is as large
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h

_lock = threading.Lock()
_holders = 0
_before: tuple[bool, float] = (True, 5e-3)  # collection enabled, switch interval


def hold() -> None:
    """Prepare the interpreter for sound; engines may nest it."""
    global _holders, _before
    with _lock:
        _holders += 1
        if _holders == 1:
            _before = (gc.isenabled(), sys.getswitchinterval())
            gc.disable()
            gc.freeze()  # not collected first: with large libraries that takes 0.2 s, and a device may run already
            sys.setswitchinterval(SWITCH_INTERVAL_S)


def release() -> None:
    """Undo one `hold`; the last one restores everything."""
    global _holders
    with _lock:
        _holders -= 1
        if _holders == 0:
            enabled, interval = _before
            sys.setswitchinterval(interval)
            gc.unfreeze()
            if enabled:
                gc.enable()


@cache
def keep_memory_compact() -> None:
    """Have malloc (glibc's) leave no room between blocks, however often models come and go. Before they are loaded.

    Each large block is mapped by itself, so that freeing it gives it back: left alone, the limit of that grows with
    each large block that is freed, up to 32 MB. And all threads share one arena: left alone, loading threads get one
    after the other, and what stays of a model in each of them holds on to the room of those that went.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another libc
            _c_library().mallopt(_M_MMAP_THRESHOLD, LARGE)
            _c_library().mallopt(_M_ARENA_MAX, 1)


def collect() -> None:
    """Free what refers to itself in a circle, as streams of sound systems do: while the sound is lost anyway."""
    gc.collect()
    give_back()


def give_back() -> None:
    """Give back to the system what malloc (glibc's) keeps of freed blocks: after a model or a device has gone.

    So memory stays what it was, however often these come and go. Takes 1 to 2 ms, in which other threads' malloc waits.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another libc
            _c_library().malloc_trim(0)


@cache  # each library object is garbage in a circle
def _c_library() -> Any:
    return ctypes.CDLL(None)
