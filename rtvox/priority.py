"""Thread priority and processor affinity, as each system has them: what a thread with a deadline asks for.

Linux: SCHED_FIFO, where the user may have it (an rtprio limit). macOS: time constraints, as Core Audio's own threads
have; joining a device's audio workgroup has no door in Python. Windows: MMCSS, "Pro Audio". A thread calls
`raise_priority` for itself, once. Read next: `doctor.py`, which says what to do where it is refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from rtvox.errors import ParameterError

# SCHED_FIFO: above all ordinary threads, below the sound server's own (JACK: 20 to 70), and the audio thread above the
# converter, whose output it can do without.
AUDIO_PRIORITY = 15
CONVERTER_PRIORITY = 10
# Of the threads that serve OSC and load models, below both. Not for their own sake: the converter waits for the
# interpreter while such a thread has it, so it must not be put aside for other programs meanwhile.
CONTROL_PRIORITY = 5

REFUSED = "no real-time priority for this user, so other programs may interrupt the sound; `rtvox doctor` says how"

_PERIOD_S = 256 / 48000  # macOS: the hop of the house; half of it is asked for, all of it may pass meanwhile
_TIME_CONSTRAINT, _TIME_CONSTRAINT_WORDS = 2, 4  # thread_policy.h
_MMCSS_RANK = {AUDIO_PRIORITY: 2, CONVERTER_PRIORITY: 1}  # avrt.h: critical, high; others normal, 0


def raise_priority(priority: int) -> bool:
    """Give the calling thread real-time priority where the system allows it; return whether it has it.

    A thread that has a higher one already keeps its own: JACK's knows better.
    """
    with contextlib.suppress(OSError, AttributeError, ValueError):  # not allowed; not such a system after all
        if sys.platform == "win32":
            return _join_mmcss(_MMCSS_RANK.get(priority, 0))
        if sys.platform == "darwin":
            return priority < CONVERTER_PRIORITY or _constrain_time()
        policy = os.sched_getscheduler(0)
        has = policy in (os.SCHED_FIFO, os.SCHED_RR)
        if policy == os.SCHED_OTHER or (has and os.sched_getparam(0).sched_priority < priority):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
            has = True
        return has  # one who was started to run when nothing else does stays so
    return False


def keep_to(cores: Sequence[int]) -> None:
    """Let this process run on these processor cores only, counted from 0; threads that run already stay where they are.

    Raises: ParameterError if there is no such core, or the system has no such choice (macOS).
    """
    if sys.platform == "win32":
        mask = sum(1 << core for core in set(cores))
        done = bool(_kernel32().SetProcessAffinityMask(_kernel32().GetCurrentProcess(), ctypes.c_size_t(mask)))
        there = f"0 to {(os.cpu_count() or 1) - 1}"
    elif hasattr(os, "sched_setaffinity"):
        able = sorted(os.sched_getaffinity(0))
        done, there = set(cores) <= set(able), ", ".join(map(str, able))
        if done and cores:
            os.sched_setaffinity(0, cores)
    else:
        raise ParameterError("cores: this system chooses the cores itself; leave it out")
    if not done or not cores:
        raise ParameterError(f"cores={','.join(map(str, cores))}: needs some of {there}")


@cache  # each library object is garbage in a circle, which nobody collects while sound runs
def _kernel32() -> Any:
    kernel32 = ctypes.CDLL("kernel32")
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    kernel32.SetProcessAffinityMask.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return kernel32


@cache
def _avrt() -> Any:
    avrt = ctypes.CDLL("avrt")
    avrt.AvSetMmThreadCharacteristicsW.argtypes = [ctypes.c_wchar_p, ctypes.POINTER(ctypes.c_uint32)]
    avrt.AvSetMmThreadCharacteristicsW.restype = ctypes.c_void_p
    avrt.AvSetMmThreadPriority.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return avrt


@cache
def _system() -> Any:
    library = ctypes.CDLL(None)
    library.pthread_mach_thread_np.argtypes = [ctypes.c_void_p]
    library.pthread_self.restype = ctypes.c_void_p
    return library


def _join_mmcss(rank: int) -> bool:
    """Have the Multimedia Class Scheduler look after the calling thread."""
    index = ctypes.c_uint32(0)
    handle = _avrt().AvSetMmThreadCharacteristicsW("Pro Audio", ctypes.byref(index))
    return bool(handle) and bool(_avrt().AvSetMmThreadPriority(handle, rank))


def _constrain_time() -> bool:
    """Tell macOS's scheduler that the calling thread has work for half of each hop, to be done within it."""
    system, ratio = _system(), (ctypes.c_uint32 * 2)()
    if system.mach_timebase_info(ratio):
        return False
    hop = int(_PERIOD_S * 1e9 * ratio[1] / ratio[0])
    policy = (ctypes.c_uint32 * _TIME_CONSTRAINT_WORDS)(hop, hop // 2, hop, 1)
    thread = system.pthread_mach_thread_np(system.pthread_self())
    return bool(system.thread_policy_set(thread, _TIME_CONSTRAINT, policy, _TIME_CONSTRAINT_WORDS) == 0)
