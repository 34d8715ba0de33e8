"""Checkpoints: what `train.py` saves, read as plain data.

In: a .ckpt file, or the folder of a training. Out: its `state_dict` and `global_step`, or one line that says what is
wrong. Read next: `train.py`.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from rtvox.errors import ParameterError


def newest_checkpoint(folder: Path) -> Path:
    """Return the checkpoint that a training in `folder` saved last.

    A new run beside an older one saves `last-v1.ckpt` and so on: it destroys nothing.
    """
    return max(folder.glob("last*.ckpt"), key=lambda path: path.stat().st_mtime, default=folder / "last.ckpt")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint, tensors on the CPU; nothing in it is run.

    Raises: ParameterError if there is no such file, or it is not a checkpoint.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not {"state_dict", "global_step"} <= content.keys():
            raise KeyError("state_dict")
    except OSError as error:
        raise ParameterError(f"{path}: {error.strerror}; train first, or name another checkpoint") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ParameterError(f"{path}: not a checkpoint of training ({reason}); name another") from None
    return content
