"""What a user may ask the planner for: shared by `plan` and `run`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import typer

from delineate.errors import PlanError


def by_hand(settings: Sequence[str]) -> dict[str, Any]:
    """Assignments like `batch=4` or `training.schedule=cosine` as path -> value."""
    result = {}
    for setting in settings:
        path, separator, text = setting.partition("=")
        if not separator or not path:
            raise PlanError(f"--set {setting}: expected FIELD=VALUE, for example  --set batch=4")
        try:
            result[path] = json.loads(text)
        except json.JSONDecodeError:
            result[path] = text
    return result


def numbers(text: str | None) -> tuple[int, ...] | None:
    """Folds like "0,2" as numbers."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"expected numbers like 0,1,2, got {text!r}") from None


def names(text: str | None) -> tuple[str, ...] | None:
    """Configurations like "2d,3d_fullres" as names."""
    return None if text is None else tuple(part.strip() for part in text.split(","))


def device(text: str) -> str:
    """The device that "auto" means on this machine."""
    if text in ("cpu", "cuda"):
        return text
    if text != "auto":
        raise typer.BadParameter(f"expected auto, cpu or cuda, got {text!r}")
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
