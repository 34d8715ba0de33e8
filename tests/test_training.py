"""From a folder of recordings to a model file with the command line, on a voice and a band that the test makes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from export.__main__ import COMMANDS, build_parser, main
from export.checkpoints import newest_checkpoint, read_checkpoint
from export.evaluate_isolate import active_pieces, evaluate_isolate, held_out_song
from export.recipe import read_recipe
from export.recordings import made
from export.recordings.bands import STEMS, Band
from export.recordings.credits import read_credits
from export.recordings.library import Library, Source, cut, prepare
from export.recordings.mixes import Mixer, MixRecipe
from export.recordings.production import EFFECTS, MOMENTS, produce, stutter
from rtvox.errors import AudioFileError, ParameterError
from rtvox.features import Array
from rtvox.model_file import read_manifest

RATE = 48000
RECIPE = """
name = "tiny"
title = "Tiny isolation"
model = "isolate"
seed = 440
[sources]
each = { "voice-song" = ["stems/*/vocals.*"], "stems" = ["stems/*/drums.*"] }
[mix]
seconds = 1.0
voices = { "voice-song" = 1.0 }
music = { "stems" = 1.0 }
hold_out = ["held"]
[network]
channels = [4, 6, 8]
hidden = [0, 4, 8]
recurrent = 1
[training]
batch = 2
steps = 2
learning_rate = 1e-3
"""


@pytest.fixture
def data(tmp_path: Path, glottal: Array, rng: np.random.Generator) -> Path:
    """Three songs of six seconds: a buzzing voice, and bursts of noise; stereo, at three rates."""
    for song, rate in (("one", 48000), ("two", 44100), ("held", 96000)):
        folder = tmp_path / "data" / "stems" / song
        folder.mkdir(parents=True)
        voice = np.resize(glottal, 6 * rate)
        drums = rng.standard_normal(6 * rate) * np.exp(-np.arange(6 * rate) % (rate // 2) / 2000.0) * 0.3
        for name, sound in (("vocals.wav", voice), ("drums.flac", drums)):
            soundfile.write(folder / name, np.stack([sound, sound], 1).clip(-1, 1), rate)
    (tmp_path / "data" / "index.csv").write_text("path,source,licence\nstems/one/vocals.wav,me/songs,CC0-1.0\n")
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path / "data"


@pytest.fixture
def cache(data: Path) -> Path:
    prepare([data], data.parent / "cache", read_recipe(str(data.parent / "tiny.toml")).sources)
    return data.parent / "cache"


def test_prepare_decodes_to_mono_48_khz_with_credits(cache: Path) -> None:
    library = Library(cache)
    assert {name: len(array) for name, array in library["voice-song"].items()} == {
        "stems-held-vocals": 6 * RATE, "stems-one-vocals": 6 * RATE, "stems-two-vocals": 6 * RATE
    }  # fmt: skip
    assert '"me/songs",\n  "CC0-1.0"' in (cache / "credits.json").read_text()
    assert '"data",\n  "your own"' in (cache / "credits.json").read_text()


def test_prepare_refuses_what_may_not_train_shipped_weights(data: Path) -> None:
    (data / "index.csv").write_text("path,source,licence\nstems/two/vocals.wav,them,CC-BY-SA-4.0\n")
    with pytest.raises(ParameterError, match=r"stems/two/vocals\.wav: is CC-BY-SA-4\.0"):
        prepare([data], data.parent / "cache", [Source("voice-song", "stems/*/vocals.*", join=False)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"no sound"), "cannot be read as sound"),
        (lambda path: soundfile.write(path, np.zeros((0, 1)), RATE), "holds no samples"),
        (lambda path: soundfile.write(path, np.full(9, np.nan), RATE, "FLOAT"), "not numbers"),
    ],
)
def test_prepare_names_the_file_it_cannot_use(data: Path, make, message: str) -> None:  # type: ignore[no-untyped-def]
    make(data / "stems" / "one" / "vocals.wav")
    with pytest.raises(AudioFileError, match=rf"stems/one/vocals\.wav: .*{message}"):
        prepare([data], data.parent / "cache", [Source("voice-song", "stems/*/vocals.*", join=False)])


def test_prepare_names_a_source_without_files(data: Path) -> None:
    with pytest.raises(ParameterError, match=r"gongs/\*: no sound files in"):
        prepare([data], data.parent / "cache", [Source("loops", "gongs/*")])


def test_prepare_silences_what_is_outside_the_spans(data: Path) -> None:
    source = Source("voice-song", "stems/one/vocals.*", join=False, spans=((1, 2), (4, 4.5)))
    prepare([data], data.parent / "cache", [source])
    voice = Library(data.parent / "cache")["voice-song"]["stems-one-vocals"]
    assert len(voice) == 6 * RATE
    heard = np.abs(voice.reshape(12, -1)).max(axis=1) > 0  # per half second
    assert heard.nonzero()[0].tolist() == [2, 3, 8]


def test_cut_pads_with_silence(cache: Path) -> None:
    array = Library(cache)["stems"]["stems-one-drums"]
    assert len(cut(array, 0, None)) == len(array)
    assert np.array_equal(cut(array, -5, 10)[5:], cut(array, 0, 5))
    assert not cut(array, -5, 10)[:5].any()
    assert not cut(array, len(array), 7).any()


def test_mixes_are_seeded_bounded_and_never_use_the_held_out_song(cache: Path) -> None:
    recipe = MixRecipe(seconds=1.0, voices={"voice-song": 1.0}, music={"stems": 1.0}, hold_out=("held",))
    mixer = Mixer(Library(cache), recipe)
    assert list(mixer.songs["stems"]) == ["stems-one", "stems-two"]
    one, two = ([mixer.draw(np.random.default_rng([440, n])) for n in range(20)] for _ in range(2))
    for (mix, voice), again in zip(one, two, strict=True):
        assert mix.shape == voice.shape == (mixer.length,)
        assert mixer.length % 256 == 0
        assert np.array_equal(mix, again[0])
        assert np.array_equal(voice, again[1])
        assert np.abs(mix).max() <= 1.0
        assert np.isfinite(voice).all()
    assert np.std([mix.std() for mix, _ in one]) > 0.01


def test_stutter_repeats_in_place(glottal: Array, rng: np.random.Generator) -> None:
    out = stutter(glottal, rng)
    assert out.shape == glottal.shape
    assert not np.array_equal(out, glottal)
    assert np.abs(out).max() <= np.abs(glottal).max() + 1e-6


@pytest.mark.parametrize("effect", [*EFFECTS, *MOMENTS, produce], ids=lambda effect: effect.__name__)
def test_effects_keep_length_and_size(effect: Callable[..., Array], glottal: Array, rng: np.random.Generator) -> None:
    for _ in range(5):
        out = effect(glottal, rng)
        assert out.shape == glottal.shape
        assert np.isfinite(out).all()
        assert np.abs(out).max() <= 10 * np.abs(glottal).max()


def test_unknown_recipe_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="there are: accompany, isolate"):
        read_recipe("isolat")
    (tmp_path / "bad.toml").write_text("name = 3\n")
    with pytest.raises(ParameterError, match=r"bad\.toml: not a recipe"):
        read_recipe(str(tmp_path / "bad.toml"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "isolat"], r"recipe 'isolat': no file .*; there are: accompany, isolate"),
        (
            ["export", "{root}/tiny.toml", "--checkpoint", "{root}/none.ckpt"],
            r"none\.ckpt: No such file .*; train first",
        ),
        (["export", "{root}/tiny.toml", "--checkpoint", "{root}/tiny.toml"], r"tiny\.toml: not a checkpoint"),
        (["train", "{root}/tiny.toml", "--cache", "{root}/none"], r"none: no prepared recordings; run .*prepare"),
        (
            ["train", "{root}/tiny.toml", "--cache", "{root}/cache", "--weights", "{root}/none.ckpt"],
            r"none\.ckpt: No such",
        ),
    ],
)
def test_errors_are_one_line(
    cache: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([argument.format(root=cache.parent) for argument in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert re.match(f"export: error: .*{message}", lines[-1])


def test_prepare_makes_what_the_recipe_wants(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def render_band(seed: int, style: str, seconds: float, rooms: Sequence[Path]) -> Band:
        return Band({stem: np.full(round(seconds * RATE), 0.1, np.float32) for stem in STEMS}, [], 120.0, "C major")

    monkeypatch.setattr(made, "render_band", render_band)
    wish = f'[made]\nbands_minutes = 0.02\nseed = 7\nseconds = 1.0\nfolder = "{data.parent}/made"\n'
    recipe = data.parent / "wishing.toml"
    recipe.write_text(
        RECIPE.replace("[sources]", f"{wish}[sources]").replace('drums.*"]', 'drums.*", "bands/*/drums.*"]')
    )
    cache = data.parent / "wished"
    assert main(["prepare", str(recipe), "--cache", str(cache), "--data", str(data)]) == 0
    assert {"bands-electronic-7-drums", "bands-rock-8-drums"} < set(Library(cache)["stems"])
    assert any(source.startswith("rendered by rtvox") for source, _ in read_credits(cache))


def test_a_held_out_song_that_cannot_be_scored_is_named(cache: Path) -> None:
    with pytest.raises(ParameterError, match=r"held-out song 'gone': no stems-gone-vocals .* holds stems-held-vocals"):
        held_out_song(Library(cache), "gone")
    silence = np.zeros(6 * RATE, np.float32)
    with pytest.raises(ParameterError, match=r"held-out song of 6\.0 s: nobody sings"):
        active_pieces(silence, silence)
    recipe = replace(read_recipe(str(cache.parent / "tiny.toml")), mix=MixRecipe())
    with pytest.raises(ParameterError, match="holds no song out"):
        evaluate_isolate(recipe, cache / "any.onnx", [], cache, cache)


def test_commands_of_the_readme_are_understood() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    lines = [line for line in re.findall(r"python -m export ([^`\n]*)", readme) if "--help" not in line]
    commands = {build_parser().parse_args(shlex.split(line, comments=True)).command for line in lines}
    assert commands == set(COMMANDS)


def test_newest_checkpoint_is_the_one_that_was_saved_last(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) == tmp_path / "last.ckpt"
    for age_s, name in ((30, "last.ckpt"), (10, "last-v1.ckpt"), (20, "last-v2.ckpt"), (0, "other.ckpt")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1e9 - age_s, 1e9 - age_s))
    assert newest_checkpoint(tmp_path) == tmp_path / "last-v1.ckpt"


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_train_export_and_evaluate(data: Path, cache: Path, processes: int, capsys: pytest.CaptureFixture[str]) -> None:
    """One process and two (torch.distributed, gloo) train, resume, export a proven file, score the held-out song."""
    root = data.parent
    common = [str(root / "tiny.toml"), "--cache", str(cache), "--runs", str(root / "runs")]
    cpu = ["--accelerator", "cpu", "--workers", "0", "--validate-every", "2", "--devices", str(processes)]

    def train(*arguments: str) -> None:
        command = ["train", *common, *cpu, *arguments]
        if processes == 1:
            assert main(command) == 0
        else:  # Lightning starts the command line anew for each further process
            subprocess.run([sys.executable, "-m", "export", *command], check=True)

    train()
    train("--steps", "4", "--resume", str(root / "runs" / "tiny" / "last.ckpt"))
    assert read_checkpoint(newest_checkpoint(root / "runs" / "tiny"))["global_step"] == 4
    model = root / "tiny.onnx"
    assert main(["export", *common, "--model", str(model)]) == 0
    assert model.stat().st_size < 16 * 2**20
    assert main(["evaluate", *common, "--model", str(model), "--write", "--pictures", str(root / "pictures")]) == 0
    assert "si_sdr_gain_db" in capsys.readouterr().out
    assert read_manifest(model).metrics["pieces"] == 1.0
    assert (root / "pictures" / "isolate-held.png").stat().st_size > 10_000
    mix, voice = held_out_song(Library(cache), "held")
    assert mix.shape == voice.shape == (6 * RATE,)
