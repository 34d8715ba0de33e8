"""A voice that speaks: sentences without gaps, into files, into the engine, over OSC; and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_vocoder import write_vocoder
from made_voice import write_voice
from playing import HOP, RATE, wait_for
from steering import served
from test_cli import failure

from rtvox.__main__ import main
from rtvox.engine import Engine
from rtvox.errors import ModelFileError, ParameterError
from rtvox.features import Array
from rtvox.file_device import PushDevice
from rtvox.model_file import load_model
from rtvox.onnx_stage import verify_golden
from rtvox.osc import OscClient
from rtvox.phonemes import sentences
from rtvox.pitch import track
from rtvox.speaker import Speaker
from rtvox.speech import MOST_WAITING, Speech


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voices")
    write_voice(path / "nobody.onnx")
    return path


@pytest.fixture
def voice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only voice that is to be found."""
    for module in ("model_file", "report", "session", "speaker"):
        monkeypatch.setattr(f"rtvox.{module}.model_folders", lambda: [folder])
    return folder / "nobody.onnx"


def whole(speaker: Speaker, text: str) -> Array:
    return np.concatenate([hop.copy() for hop in speaker.say(text)])


def test_its_proof_is_replayed(voice: Path) -> None:
    verify_golden(load_model(voice))


def test_a_text_becomes_as_much_sound_as_its_tokens_ask_for(voice: Path) -> None:
    sound = whole(Speaker(), "Good evening, Berlin.")
    frames = 16.0 * len(next(sentences("Good evening, Berlin.")))  # export.networks.say.FIRST of each token
    assert abs(len(sound) / HOP / frames - 1.0) < 0.3
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() > 1e-4


def test_it_says_the_same_again(voice: Path) -> None:
    speaker = Speaker()
    np.testing.assert_array_equal(whole(speaker, "Again."), whole(speaker, "Again."))


def test_speed_shortens(voice: Path) -> None:
    slow, fast = (len(whole(Speaker(None, {"speed": speed}), "Good evening.")) for speed in (0.5, 2.0))
    assert slow > 3 * fast
    with pytest.raises(ParameterError, match="speed=9"):
        Speaker(None, {"speed": 9.0})


def test_sentences_follow_without_a_gap(voice: Path) -> None:
    speaker = Speaker()
    one, two, both = (len(whole(speaker, text)) for text in ("One.", "Two.", "One. Two."))
    assert both == one + two - speaker.delay


def test_a_vocoder_is_told_the_pitch(
    voice: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_vocoder(tmp_path / "vocoder.onnx")
    for module in ("model_file", "speaker"):
        monkeypatch.setattr(f"rtvox.{module}.model_folders", lambda: [folder, tmp_path])
    speaker = Speaker(None, {"resynthesis": 3.0})
    assert speaker.synthesis == "vocoder"
    assert np.isfinite(whole(speaker, "Hello.")).all()


def test_the_shipped_voice_speaks_at_a_womans_pitch_and_pace() -> None:
    sound = whole(Speaker(), "Who left the garden gate open last night?")
    told = track(sound)
    assert 1.5 < len(sound) / RATE < 4.0
    assert 0.4 < (told[:, 1] > 0.5).mean() < 0.95
    assert 130.0 < np.median(told[told[:, 1] > 0.5, 0]) < 300.0
    assert -40.0 < 20.0 * np.log10(np.sqrt(np.mean(sound**2))) < -12.0
    assert np.abs(sound).max() < 1.0


def test_other_models_are_no_voices(full_model_path: Path) -> None:
    with pytest.raises(ModelFileError, match="of role mask, not a voice"):
        Speaker(str(full_model_path))


class TestSpeech:
    def test_it_is_added_to_the_microphone(self, voice: Path) -> None:
        speech, hop = Speech(Speaker()), np.full(HOP, 0.25, np.float32)
        assert speech.mix(hop) is hop
        speech.say("Hello.")
        wait_for(lambda: len(speech._ring) > 8 * HOP)
        mixed = [speech.mix(hop).copy() for _ in range(8)]
        assert max(np.abs(x - hop).max() for x in mixed) > 1e-4
        speech.close()

    def test_stop_forgets_what_waits(self, voice: Path) -> None:
        speech, hop = Speech(Speaker()), np.zeros(HOP, np.float32)
        for _ in range(3):
            speech.say("Hello, hello, hello, and hello again.")
        wait_for(lambda: len(speech._ring) > 8 * HOP)
        speech.stop()
        assert speech.mix(hop) is hop
        wait_for(lambda: not speech.busy)
        speech.say("Hello.")
        wait_for(lambda: len(speech._ring) > 0)
        speech.close()

    def test_not_too_many_wait(self, voice: Path) -> None:
        speech = Speech(Speaker())
        text = "Hello, hello, hello, and hello again."
        for _ in range(MOST_WAITING + 1):  # one of them is being said, and the ring is full long before it ends
            wait_for(lambda: speech._texts.qsize() < MOST_WAITING)
            speech.say(text)
        with pytest.raises(ParameterError, match=f"{MOST_WAITING} texts wait"):
            speech.say(text)
        speech.close()

    def test_a_fault_is_told(self, voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        speech = Speech(Speaker())
        monkeypatch.setenv("PATH", "")
        speech.say("Words that were never said in here before.")
        wait_for(lambda: "espeak-ng is not installed" in speech.error)
        speech.close()


def test_over_osc_it_sounds_through_the_engine(voice: Path, tmp_path: Path) -> None:
    device = PushDevice(RATE, HOP)
    with (
        Engine(device) as engine,
        served(engine, tmp_path) as (session, server),
        OscClient("127.0.0.1", server.port) as client,
    ):
        assert session.voices == ("nobody",)
        client.call("/rtvox/start")
        client.call("/rtvox/say", "Good evening.")
        assert engine.speech
        wait_for(lambda: len(engine.speech._ring) > 40 * HOP)  # type: ignore[union-attr]
        silence = np.zeros((HOP, 1), np.float32)
        heard = [np.abs(device.push(silence)).max() for _ in range(40)]
        assert max(heard) > 1e-4
        engine.panic()
        assert not engine.speech.mix(silence[:, 0]).any()
        with pytest.raises(Exception, match="nothing in it can be spoken"):
            client.call("/rtvox/say", "")
        with pytest.raises(Exception, match="not found"):
            client.call("/rtvox/say", "Hello", "somebody")
        engine.speech.close()


class TestCommand:
    def test_it_writes_a_file(self, voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["say", "Good evening.", "-o", str(tmp_path / "a.flac"), "--set", "speed=2"]) == 0
        info = soundfile.info(tmp_path / "a.flac")
        assert (info.samplerate, info.channels) == (RATE, 1)
        assert info.frames > RATE / 4
        assert "nobody, griffin-lim" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "code", "reason"),
        [
            (["", "-o", "a.wav"], 2, "nothing in it can be spoken"),
            (["дом", "-o", "a.wav"], 2, "no Latin letter"),
            (["hello", "-o", "a.xyz"], 2, "unknown ending"),
            (["hello", "-o", "a.wav", "--voice", "somebody"], 3, "model 'somebody': not found"),
            (["hello", "-o", "a.wav", "--set", "speed=9"], 2, "speed=9"),
            (["hello", "-o", "a.wav", "--set", "resynthesis=input-phase"], 2, "needs griffin-lim or vocoder"),
            (["hello", "--set", "speed=2"], 2, "holds for files"),
            (["hello " * 2000], 2, "too long for one message"),
        ],
    )
    def test_refusals_are_one_line_and_write_nothing(
        self, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        arguments: list[str], code: int, reason: str,
    ) -> None:  # fmt: skip
        monkeypatch.chdir(tmp_path)
        found, line = failure(capsys, "say", *arguments)
        assert (found, reason in line) == (code, True), line
        assert not list(tmp_path.iterdir())

    def test_no_voice_is_said_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rtvox.speaker.model_folders", lambda: [tmp_path])
        with pytest.raises(ModelFileError, match="no voice"):
            Speaker()

    def test_a_voice_converts_nothing(self, voice: Path, capsys: pytest.CaptureFixture[str]) -> None:
        _, line = failure(capsys, "convert", "a.wav", "b.wav", "--model", str(voice))
        assert "is a voice, which converts nothing" in line


def test_the_first_hop_comes_before_the_sentence_is_made(voice: Path) -> None:
    hops = list(itertools.islice(Speaker().say("A sentence that would go on for quite a while, and then some."), 3))
    assert len(hops) == 3
