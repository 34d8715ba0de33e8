"""Recorder: wet and dry sound to two files, in sync, while it is played.

In: blocks from the audio callback, which only copies them into two RingBuffers. Out: sound files, written by the recorder's own
thread. When the disk is full, or a file cannot be written any more, the recording ends with valid files up to there, `error` says
so, and the sound goes on. Read next: `ring.py`.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import soundfile

from rtvox.errors import AudioFileError
from rtvox.ring import RingBuffer

BUFFER_S = 10.0  # how long a disk may stand still; 2 MB per track at 48 kHz
PERIOD_S = 0.05  # between two looks into the buffers


class Recorder:
    """Two mono files that begin with the same sample.

    Single writers: the audio callback writes the two rings, the writer thread all else. A block that does not fit is counted
    in `RingBuffer.dropped` and left out.
    """

    def __init__(self, path: Path, sample_rate: int) -> None:
        """Open both files and start the writer thread.

        Args:
            path: of the wet sound; the ending chooses the format (.wav, .flac, .aiff ...). The dry sound goes to NAME-dry
                beside it.

        Raises: AudioFileError if a file cannot be made, or the format is unknown.
        """
        self.path = path
        self.error = ""
        capacity = round(BUFFER_S * sample_rate)
        self.dry, self.wet = RingBuffer(capacity), RingBuffer(capacity)
        self._files: list[soundfile.SoundFile] = []
        self._chunk = np.zeros(capacity, np.float32)
        for name in (path, path.with_stem(path.stem + "-dry")):
            try:
                subtype = "PCM_24" if "PCM_24" in soundfile.available_subtypes(name.suffix[1:].upper()) else None
                self._files.append(soundfile.SoundFile(name, "w", sample_rate, 1, subtype))
            except (OSError, RuntimeError, TypeError, ValueError) as error:
                for file in self._files:
                    file.close()
                raise AudioFileError(f"{name}: cannot record there ({error})") from None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._write, name="rtvox-recorder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the recording; both files are complete on return."""
        self._ending.set()
        self._thread.join()

    def _write(self) -> None:
        ending = False
        while not ending and not self.error:
            ending = self._ending.wait(PERIOD_S)
            self._drain()
        for file in self._files:
            try:
                file.close()
            except (OSError, RuntimeError) as error:
                self.error = self.error or f"{file.name}: recording ended ({error})"

    def _drain(self) -> None:
        """Move what both rings hold to the files: the same number of samples to each."""
        n = min(len(self.wet), len(self.dry))
        for ring, file in zip((self.wet, self.dry), self._files, strict=True):
            ring.read(self._chunk[:n])
            try:
                file.write(self._chunk[:n])
            except (OSError, RuntimeError, AssertionError) as error:
                self.error = f"{file.name}: recording ended ({error})"
                return
