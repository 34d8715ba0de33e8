"""Recorder: wet and dry sound to two files, in sync, while it is played.

In: blocks from the audio callback, which only copies them into a RingBuffer. Out: sound files, written by the
recorder's own thread. When the disk is full, or a file cannot be written any more, the recording ends with valid files
up to there, `error` says so, and the sound goes on. When the program is killed, the files are valid up to the last
half second. Read next: `ring.py`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from rtvox.errors import AudioFileError
from rtvox.features import Array
from rtvox.ring import RingBuffer

BUFFER_S = 10.0  # how long a disk may stand still; 4 MB at 48 kHz
PERIOD_S = 0.05  # between two looks into the buffer
SEAL_S = 0.5  # between two times that the files' headers are made to tell the length
FLAC_BLOCK = 4096  # samples that the encoder gathers for a frame, at libsndfile's usual settings
_UPDATE_HEADER_NOW = 0x1060  # libsndfile's SFC_UPDATE_HEADER_NOW, which soundfile does not name
WAV_BYTES = 2**32 - 2**20  # sizes in a WAV file are 32-bit numbers: 8 h at 48 kHz


class Recorder:
    """Two mono files that begin and end with the same sample.

    Single writers: the audio thread calls `write`, the writer thread does all else. Dry and wet samples take turns in
    one ring, written and read in pairs only, so that a full ring drops the same ones of both.
    """

    def __init__(self, path: Path, sample_rate: int, max_block: int) -> None:
        """Open both files and start the writer thread.

        Args:
            path: of the wet sound; the ending chooses the format (.wav, .flac, .aiff ...). The dry sound goes to
                NAME-dry beside it.
            sample_rate: Hz.
            max_block: the most samples in one `write`.

        Raises: AudioFileError if a file cannot be made, or the format is unknown.
        """
        self.path, self.error = path, ""
        self._sample_rate = sample_rate
        self._pair = np.zeros((max_block, 2), np.float32)
        self._ring = RingBuffer(2 * round(BUFFER_S * sample_rate))
        self._chunk = np.zeros(self._ring.capacity, np.float32)
        self._written = 0  # samples in each file
        self._files: list[soundfile.SoundFile] = []
        try:
            for track in (path, path.with_stem(f"{path.stem}-dry")):
                self._files.append(_create(track, sample_rate))
        except AudioFileError:
            self._close_files()
            raise
        self._limit = WAV_BYTES if path.suffix.lower() == ".wav" else None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rtvox-recorder", daemon=True)
        self._thread.start()

    def write(self, dry: Array, wet: Array) -> None:
        """Take (B,) samples of each. Audio thread only: copies and returns."""
        pair = self._pair[: len(wet)]
        pair[:, 0], pair[:, 1] = dry, wet
        self._ring.write(pair.reshape(-1))

    @property
    def seconds(self) -> float:
        """Seconds of sound taken so far."""
        return self._ring.written / 2 / self._sample_rate

    def fits(self, sample_rate: int, max_block: int) -> bool:
        """Return whether the recording can go on with a device of this rate; say why not, if not."""
        if sample_rate == self._sample_rate and max_block <= len(self._pair):
            return True
        self.error = self.error or f"{self.path}: recording ended: the device came back at {sample_rate} Hz"
        return False

    def close(self) -> None:
        """End the recording; both files are complete on return."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        ending, sealed = False, time.monotonic()
        while not ending and not self.error:
            ending = self._ending.wait(PERIOD_S)
            self._drain()
            if time.monotonic() - sealed >= SEAL_S:
                sealed = time.monotonic()
                for file in self._files:
                    _seal(file, self._written)
        self._close_files()
        lost = self._ring.dropped // 2
        if lost and not self.error:
            self.error = f"{self.path}: the disk was too slow, {lost} samples are left out; record to another one"

    def _drain(self) -> None:
        """Move what waits to the files."""
        n = self._ring.read(self._chunk[: len(self._ring)])
        pairs = self._chunk[:n].reshape(-1, 2)
        for file, samples in zip(self._files, (pairs[:, 1], pairs[:, 0]), strict=True):
            try:
                file.write(samples)
                if self._limit and file.tell() * 3 > self._limit:
                    self.error = f"{file.name}: recording ended: a WAV file holds 4 GB; record to .flac, or again"
            except (OSError, RuntimeError, AssertionError) as error:
                self.error = f"{file.name}: recording ended ({error}); free some disk space, or record elsewhere"
                return
        self._written += len(pairs)

    def _close_files(self) -> None:
        for file in self._files:
            try:
                file.close()
            except (OSError, RuntimeError) as error:
                self.error = self.error or f"{file.name}: recording ended ({error})"
            if self.error and file.format == "FLAC":
                _mend_flac(Path(file.name))


def _seal(file: soundfile.SoundFile, written: int) -> None:
    """Make the header of a growing file tell its length, so that the file is whole if we do not live to close it."""
    if file.format == "FLAC":
        _set_flac_length(Path(file.name), max(0, written - 1) // FLAC_BLOCK * FLAC_BLOCK)
    else:
        soundfile._snd.sf_command(file._file, _UPDATE_HEADER_NOW, soundfile._ffi.NULL, 0)


def _mend_flac(path: Path) -> None:
    """Give a FLAC file whose encoder was cut off its length; the frames that were written are whole."""
    count = 0
    with contextlib.suppress(OSError, RuntimeError), soundfile.SoundFile(path) as file:
        while n := len(file.read(FLAC_BLOCK, dtype="float32")):  # a frame; the one that was cut off raises
            count += n
    _set_flac_length(path, count)


def _set_flac_length(path: Path, count: int) -> None:
    with contextlib.suppress(OSError), path.open("r+b") as raw:
        # RFC 9639, section 8.2: the number of samples are the 36 bits before the checksum, at byte 21.5 of the file.
        raw.seek(21)
        high = raw.read(1)[0] & 0xF0 | count >> 32
        raw.seek(21)
        raw.write(bytes([high]) + (count & 0xFFFFFFFF).to_bytes(4, "big"))


def _create(path: Path, sample_rate: int) -> soundfile.SoundFile:
    """Open a mono file for writing, with 24 bits where the format has them."""
    subtype = "PCM_24" if "PCM_24" in soundfile.available_subtypes(path.suffix[1:].upper()) else None
    try:
        return soundfile.SoundFile(path, "w", sample_rate, 1, subtype)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise AudioFileError(f"{path}: cannot record there ({error}); needs a folder that can be written") from None
