"""A multitrack recorder from Debian, ecasound, plays a file into rtvox over JACK and records what comes out."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import numpy as np
import soundfile
from audio_systems import NOISE, exact_share, jack_server, require, running, wait_for

from rtvox.devices import SoundCard
from rtvox.engine import Engine
from rtvox.features import Array
from rtvox.file_device import convert_array
from rtvox.jack_host import UNWIRED

FORMAT = "-f:f32_le,1,48000"


def test_ecasound_records_what_rtvox_makes_of_a_track(noise: Array, full_model_path: Path, tmp_path: Path) -> None:
    require("ecasound")
    song, track = tmp_path / "song.wav", tmp_path / "track.wav"
    soundfile.write(song, np.concatenate([noise, noise[::-1]]), 48000, subtype="FLOAT")
    with jack_server(sync=True) as jack, Engine(SoundCard(UNWIRED, UNWIRED, channels_in=1, channels_out=1)) as engine:
        engine.load(full_model_path)
        engine.start()
        setup = ("-q", "-G:jack,recorder,notransport", FORMAT)
        with running("ecasound", *setup, "-i", "jack,rtvox", "-o", str(track)) as recorder:
            wait_for(lambda: "recorder:in_1" in jack.ports(), "recorder")
            subprocess.run(
                ["ecasound", "-q", "-G:jack,player,notransport", FORMAT, "-i", str(song), "-o", "jack,rtvox"],
                stdout=NOISE,
                stderr=NOISE,
                check=True,
                timeout=60,
            )
            recorder.send_signal(signal.SIGINT)
            recorder.wait(20)
    recorded, rate = soundfile.read(track, dtype="float32")
    assert rate == 48000
    expected = convert_array(np.concatenate([noise, noise[::-1]]), 48000, full_model_path)
    # The last tenth may still be under way when the player ends.
    assert exact_share(recorded, expected[: len(expected) * 9 // 10]) > 0.7
