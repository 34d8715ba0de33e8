"""Chance for endless streams of training items: each worker process draws its own. Read next: `../tasks/`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def worker_generator(seed: Sequence[int]) -> np.random.Generator:
    """Return the generator of this process: of a seed and, in a loader's worker, its number."""
    info = torch.utils.data.get_worker_info()
    return np.random.default_rng([*seed, info.id if info else 0])
