"""Lesions: measures in which every lesion counts once, by the rules that say what one lesion is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from delineate.evaluation.measures.pair import Measure, Pair, Value
from delineate.evaluation.objects.lesions import Lesions

if TYPE_CHECKING:
    from delineate.evaluation.measures.rules import Rules
    from delineate.evaluation.overlap import EmptyPolicy


def _share(
    name: str, title: str, definition: str, value: Callable[[Lesions, EmptyPolicy], float | None]
) -> Measure:
    def of(pair: Pair, rules: Rules) -> Value:
        return _noted(value(pair.lesions(rules.lesions), rules.empty), pair, rules)

    return Measure(name, title, definition, "1", "high", of, by_rules=_found_rule)


def _count(
    name: str, title: str, definition: str, value: Callable[[Lesions], int], best: Literal["low", "zero"]
) -> Measure:
    def of(pair: Pair, rules: Rules) -> Value:
        return float(value(pair.lesions(rules.lesions))), None

    return Measure(name, title, definition, "lesions", best, of, by_rules=_lesion_rule)


def _dice(pair: Pair, rules: Rules) -> Value:
    return _noted(pair.lesions(rules.lesions).dice(rules.empty), pair, rules)


def _hd95(pair: Pair, rules: Rules) -> Value:
    return _noted(pair.lesions(rules.lesions).hd95(rules.empty), pair, rules)


def _noted(value: float | None, pair: Pair, rules: Rules) -> Value:
    """A missing value says why: nothing there, or nothing that counts."""
    if value is not None:
        return value, None
    return None, pair.emptiness or f"no lesion above {rules.lesions.smallest_mm3:g} mm³"


def _lesion_rule(rules: Rules) -> str:
    return f"; {rules.lesions.words}"


def _penalty_rule(rules: Rules) -> str:
    penalty = rules.lesions.penalty_mm
    cost = "the diagonal of the grid" if penalty is None else f"{penalty:g} mm"
    return f"; {rules.lesions.words}; missed or invented {cost}"


def _found_rule(rules: Rules) -> str:
    return f"; {rules.lesions.words}; {rules.lesions.words_of_found}"


LESIONS = (
    Measure(
        "lesion_dice",
        "Lesion-wise Dice",
        "mean over lesions, each with all that reaches it, and over invented ones, which have 0 (BraTS)",
        "1",
        "high",
        _dice,
        by_rules=_lesion_rule,
    ),
    Measure(
        "lesion_hd95",
        "Lesion-wise HD95",
        "mean over lesions and invented ones of HD95 by area (BraTS)",
        "mm",
        "low",
        _hd95,
        by_rules=_penalty_rule,
    ),
    _share(
        "lesion_recall",
        "Lesion recall",
        "share of lesions found",
        lambda these, empty: these.detected.recall(empty),
    ),
    _share(
        "lesion_precision",
        "Lesion precision",
        "share of predicted components that are right",
        lambda these, empty: these.detected.precision(empty),
    ),
    _share(
        "lesion_f1",
        "Lesion F1",
        "harmonic mean of lesion recall and precision",
        lambda these, empty: these.detected.f1(empty),
    ),
    _count(
        "lesions_reference",
        "Lesions",
        "lesions of the reference that count",
        lambda these: these.counted.sum(),
        "zero",
    ),
    _count(
        "lesions_prediction",
        "Components",
        "connected components of the prediction",
        lambda these: len(these.invented),
        "zero",
    ),
    _count(
        "lesions_missed", "Missed lesions", "lesions not found", lambda these: these.detected.missed, "low"
    ),
    _count(
        "lesions_invented",
        "Invented lesions",
        "predicted components that reach no lesion",
        lambda these: these.invented.sum(),
        "low",
    ),
)
