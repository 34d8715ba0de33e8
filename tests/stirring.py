"""Networks for tests: small, always the same, and away from the quiet start that training begins with."""

from __future__ import annotations

from typing import Any, TypeVar

import torch

from export.networks.streaming import FrameNetwork

Network = TypeVar("Network", bound=FrameNetwork)


def stirred(kind: type[Network], *arguments: Any, amount: float, **sizes: Any) -> Network:
    """Return a network of a kind, made with these arguments, whose weights have moved by about `amount` each."""
    torch.manual_seed(440)
    network = kind(*arguments, **sizes).eval()
    for parameter in network.parameters():
        parameter.data.add_(amount * torch.randn_like(parameter))
    return network
