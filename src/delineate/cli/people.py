"""People: options of the verbs that read several raters."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from delineate.evaluation.raters import FusionRules


class Method(enum.Enum):
    """How several maps become one."""

    staple = "staple"
    majority = "majority"
    simple = "simple"
    soft = "soft"


class Ties(enum.Enum):
    """What a voxel becomes where labels have equally many votes."""

    lowest = "lowest"
    highest = "highest"
    background = "background"
    ignore = "ignore"


def split_names(text: str | None) -> tuple[str, ...] | None:
    """Names that were given as "ann, bob"."""
    return None if text is None else tuple(name.strip() for name in text.split(","))


def fusion_rules(method: Method, ties: Ties, field: float | None, *, whole: bool) -> FusionRules:
    """The rules that options say."""
    from delineate.evaluation.raters import MARGIN_MM, FusionRules

    if whole and field is not None:
        raise typer.BadParameter("give --field or --whole-scan, not both", param_hint="--field")
    margin = None if whole else MARGIN_MM if field is None else field
    return FusionRules(method=method.value, ties=ties.value, margin_mm=margin)
