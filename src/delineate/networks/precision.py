"""Precision: on what a network computes, and in which numbers."""

from __future__ import annotations

from typing import Literal

import torch

from delineate.errors import PlanError

Precision = Literal["fp32", "bf16", "fp16", "int8", "auto"]


def device_of(name: str) -> torch.device:
    """The device of this name ("cpu", "cuda", "cuda:1"), which must be there."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise PlanError(f"{name!r} is no device; expected 'cpu', 'cuda' or 'cuda:1'.") from None
    if device.type == "cuda":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= there:
            raise PlanError(f"device {name!r}: torch finds {there} CUDA GPUs here. Use the device 'cpu'.")
    return device


def autocast_type(precision: Precision, device: torch.device) -> torch.dtype | None:
    """What convolutions compute in on `device`: None is float32, without autocast.

    auto  bf16 where the hardware multiplies it (twice as fast on a CPU with AVX512-BF16 or AMX), else
          fp16 on a GPU, else float32
    """
    match precision:
        case "fp32":
            return None
        case "bf16":
            return torch.bfloat16
        case "fp16" if device.type == "cuda":
            return torch.float16
        case "fp16":
            raise PlanError(f"fp16 is for GPUs; on {device.type!r} use 'auto', 'bf16' or 'fp32'.")
        case "int8":
            raise PlanError(
                "int8 is for networks that delineate compress made so, in the engine openvino; torch "
                "computes in 'auto', 'bf16' or 'fp32'."
            )
        case "auto":
            return _best(device)


def _best(device: torch.device) -> torch.dtype | None:
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    facts = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return torch.bfloat16 if facts.get("avx512_bf16") or facts.get("amx_bf16") else None
