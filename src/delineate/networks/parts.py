"""Parts: which weights of a network are its encoder, the way down that sees what scans look like."""

from __future__ import annotations

from torch import nn

from delineate.errors import PlanError

WRAPPERS = ("network", "path")  # around all of a network
ENCODER = ("encoder", "stem", "down", "downs", "stages", "vit", "swinViT", "convInit", "down_layers")
JOINED = "encoder"  # of UNETR and SwinUNETR: encoder1, encoder2, ... prepare what is joined


def in_encoder(name: str) -> bool:
    """Whether a tensor or a part of this name (dots between) belongs to the encoder."""
    first, *rest = name.split(".")
    part = rest[0] if first in WRAPPERS and rest else first
    return part in ENCODER or part.startswith(JOINED)


def encoder_of(network: nn.Module) -> tuple[nn.Parameter, ...]:
    """The weights of the encoder.

    Raises:
        PlanError: the network has no part of which that is known.
    """
    found = tuple(weight for name, weight in network.named_parameters() if in_encoder(name))
    if not found:
        raise PlanError(
            f"{type(network).__name__} has no part called {', '.join(ENCODER)}: what of it to freeze, or to "
            "teach more slowly, is not known. Leave training.freeze and training.encoder_rate as they are."
        )
    return found
