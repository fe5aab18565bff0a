"""Precision: in which numbers a network computes, and on what."""

from __future__ import annotations

from typing import Literal

import torch

from delineate.errors import RunError

Wanted = Literal["fp32", "bf16", "fp16", "auto"]
Mode = Literal["32-true", "bf16-mixed", "16-mixed"]  # Fabric's names; weights are always fp32


def device_of(name: str) -> torch.device:
    """The device of this name, which must be there."""
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RunError(f"device {name!r}: torch finds no CUDA GPU on this machine. Use the device 'cpu'.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise RunError(f"device {name!r}: there are {torch.cuda.device_count()} GPUs, counted from 0.")
    return device


def mode_of(wanted: Wanted, device: torch.device) -> Mode:
    """How to compute on a device.

    auto  bf16 where the hardware multiplies it (on a CPU with AVX512-BF16 or AMX a training step takes
          half the time), else fp16 on a GPU, else fp32
    """
    match wanted:
        case "fp32":
            return "32-true"
        case "bf16":
            return "bf16-mixed"
        case "fp16" if device.type == "cuda":
            return "16-mixed"
        case "fp16":
            raise RunError(
                f"fp16 is for GPUs; on {device.type!r} use training.precision 'auto', 'bf16' or 'fp32'."
            )
        case "auto":
            return _best(device)


def _best(device: torch.device) -> Mode:
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if device.type == "cpu":
        facts = torch.cpu.get_capabilities()
        return "bf16-mixed" if facts.get("avx512_bf16") or facts.get("amx_bf16") else "32-true"
    return "32-true"
