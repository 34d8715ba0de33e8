"""The exceptions a user of rtvox can meet.

Every message names the value, says what is allowed, and gives the way out, on one line. `assert` is for our own
mistakes only. The command line prints the message and ends with the class's `exit_code`; the engine puts it into its
Status and keeps the sound running.
"""

from __future__ import annotations


class RtvoxError(Exception):
    """Base of all errors that rtvox raises for a user's input, machine or files."""

    exit_code = 1


class ParameterError(RtvoxError):
    """A control, flag or argument has a value that is not allowed."""

    exit_code = 2


class ModelFileError(RtvoxError):
    """A model file is missing, damaged, of another version, or not one of ours."""

    exit_code = 3


class DeviceError(RtvoxError):
    """A sound device is missing, busy, gone, or cannot run at what was asked."""

    exit_code = 4


class AudioFileError(RtvoxError):
    """A sound file cannot be read, written or used."""

    exit_code = 5


class MissingExtraError(RtvoxError):
    """An optional part of rtvox (window, training) is not installed."""

    exit_code = 6


class OscError(RtvoxError):
    """An OSC packet is not one, an engine does not answer, or a port or address cannot be used."""

    exit_code = 7


class PresetError(RtvoxError):
    """A preset is missing, damaged, or cannot be written."""

    exit_code = 2
