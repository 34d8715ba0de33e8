"""The offline side's command line: `python -m export prepare|train|export|evaluate RECIPE`, and `takes FOLDER`.

In: arguments. Out: an exit code: 0 done, the `exit_code` of an RtvoxError (after one line on stderr), 130 stopped with
Ctrl-C. Runs in the main thread; each command imports only what it needs. Read next: `recipe.py`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from export.recipe import Recipe, read_recipe
from rtvox.errors import ParameterError, RtvoxError


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="python -m export", description="Recordings to trained weights to a proven model file."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("recipe", help="a recipe's name or path, for example isolate")
    common.add_argument("--cache", type=Path, default=Path("cache"), help="where prepared recordings lie")
    common.add_argument("--runs", type=Path, default=Path("runs"), help="where checkpoints and TensorBoard logs go")
    prepare = commands.add_parser("prepare", parents=[common], help="make and decode recordings into the cache")
    train = commands.add_parser("train", parents=[common], help="train, showing progress and logging to TensorBoard")
    train.add_argument("--steps", type=int, help="last step, in place of the recipe's")
    start = train.add_mutually_exclusive_group()
    start.add_argument("--resume", type=Path, help="checkpoint to go on from (weights, optimiser, step)")
    start.add_argument("--weights", type=Path, help="checkpoint whose weights start a new run")
    train.add_argument("--devices", type=int, default=1, help="processes (GPUs, or CPU processes) on this machine")
    train.add_argument("--nodes", type=int, default=1, help="machines")
    train.add_argument("--accelerator", default="auto", help="cpu, cuda, mps or auto")
    train.add_argument("--frame-step", type=int, default=1, help="train on every n-th frame (quick first phase: 2)")
    train.add_argument("--precision", default="bf16-mixed", help="Lightning's name, for example 32-true")
    train.add_argument("--workers", type=int, default=1, help="processes that draw mixes")
    train.add_argument("--validate-every", type=int, default=250, help="steps between scores of the held-out song")
    make = commands.add_parser("export", parents=[common], help="turn a checkpoint into a proven model file")
    make.add_argument("--checkpoint", type=Path, help="default: the newest last*.ckpt in <runs>/<recipe>")
    evaluate = commands.add_parser("evaluate", parents=[common], help="measure a model file on held-out recordings")
    own = prepare.add_argument_group("your own pairs", "aligned in place of what the recipe asks for; for scream")
    own.add_argument("--clean", type=Path, help="folder of clean takes")
    own.add_argument("--screamed", type=Path, help="folder of screamed takes of the same lines, named or sorted alike")
    own.add_argument("--style", type=float, default=1.0, help="what they are: 0 growl, 1 scream, 2 shriek")
    own.add_argument("--report", type=Path, default=Path("runs/pairs"), help="where report.csv and pictures go")
    data = [Path("../shared/data")]
    for command in (prepare, evaluate):
        command.add_argument("--data", type=Path, nargs="+", default=data, help="folders of recordings")
    for command in (make, evaluate):
        command.add_argument("--model", type=Path, help="the model file; default: checkpoints/<recipe>.onnx")
    evaluate.add_argument("--write", action="store_true", help="put the figures into the model file's manifest")
    evaluate.add_argument("--pictures", type=Path, default=Path("runs/pictures"), help="where spectrograms go")
    takes = commands.add_parser("takes", help="trim, level and list recordings in the form of LJSpeech")
    takes.add_argument("folder", type=Path, help="recordings in any format; texts in NAME.txt or metadata.csv")
    takes.add_argument("target", type=Path, help="where wavs/ and metadata.csv go")
    takes.add_argument("--rate", type=int, default=48000, help="sample rate in Hz; LJSpeech itself has 22050")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = build_parser().parse_args(arguments)
    try:
        COMMANDS[args.command](args)
    except RtvoxError as error:
        print(f"export: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _takes(args: argparse.Namespace) -> None:
    from export.recordings.takes import read_takes, read_texts, write_ljspeech

    takes, aside = read_takes(args.folder)
    write_ljspeech(args.target, takes, read_texts(args.folder), args.rate)
    print("\n".join([*(f"set aside: {why}" for why in aside.values()), f"{args.target}: {len(takes)} takes"]))


def _prepare(args: argparse.Namespace) -> None:
    from export.models import find_model

    if args.clean or args.screamed:
        from export.recordings.own_pairs import prepare_own, summary

        if not (args.clean and args.screamed):
            raise ParameterError("--clean and --screamed belong together; name both folders")
        print(summary(prepare_own(args.clean, args.screamed, args.cache, args.report, args.style)))
        return
    recipe = read_recipe(args.recipe)
    find_model(recipe.model).prepare(recipe, args.data, args.cache)


def _train(args: argparse.Namespace) -> None:
    from export.models import find_model
    from export.train import train

    recipe = read_recipe(args.recipe)
    flags = {name: value for name, value in vars(args).items() if name not in ("command", "recipe", "cache", "runs")}
    print(train(recipe, find_model(recipe.model).training, args.cache, args.runs, **flags))


def _export(args: argparse.Namespace) -> None:
    from export.checkpoints import newest_checkpoint
    from export.to_onnx import export

    recipe = read_recipe(args.recipe)
    checkpoint = args.checkpoint or newest_checkpoint(args.runs / recipe.name)
    file = export(recipe, checkpoint, args.cache, _model(recipe, args))
    print(f"{file.path}: {len(file.data)} bytes, {file.manifest.metrics}")


def _evaluate(args: argparse.Namespace) -> None:
    from export.evaluate import write_metrics
    from export.models import find_model

    recipe = read_recipe(args.recipe)
    model = _model(recipe, args)
    figures = find_model(recipe.model).evaluate(recipe, model, args.data, args.cache, args.pictures)
    if args.write:
        write_metrics(model, figures)
    print("\n".join(f"{name:28} {value:8.2f}" for name, value in figures.items()))


def _model(recipe: Recipe, args: argparse.Namespace) -> Path:
    path: Path = args.model or Path(f"checkpoints/{recipe.name}.onnx")
    return path


COMMANDS = {"prepare": _prepare, "train": _train, "export": _export, "evaluate": _evaluate, "takes": _takes}

if __name__ == "__main__":
    sys.exit(main())
