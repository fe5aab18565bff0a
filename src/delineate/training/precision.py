"""Precision: in which numbers a network is trained, as Fabric spells them."""

from __future__ import annotations

from typing import Literal

import torch

from delineate.networks import Precision, autocast_type

Mode = Literal["32-true", "bf16-mixed", "16-mixed"]  # weights are always fp32


def mode_of(wanted: Precision, device: torch.device) -> Mode:
    """How to train on a device; "auto" takes what the hardware multiplies best (`autocast_type`).

    Raises:
        PlanError: fp16 was asked for where there is none.
    """
    computed = autocast_type(wanted, device)
    if computed is None:
        return "32-true"
    return "bf16-mixed" if computed == torch.bfloat16 else "16-mixed"
