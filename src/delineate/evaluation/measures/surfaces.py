"""Surfaces: measures of how far the surfaces of the two masks are apart.

What they say where there is no surface to measure from is decided here, once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from delineate.evaluation.measures.pair import Measure, Pair, Value
from delineate.evaluation.surface import SurfaceDistances

if TYPE_CHECKING:
    from delineate.evaluation.measures.rules import Rules

Surface = Literal["border", "area"]


def _distance(
    name: str, title: str, definition: str, surface: Surface, value: Callable[[SurfaceDistances], float]
) -> Measure:
    def of(pair: Pair, rules: Rules) -> Value:
        apart: SurfaceDistances | None = getattr(pair, surface)
        return _farthest(pair, rules) if apart is None else (value(apart), None)

    return Measure(name, title, definition, "mm", "low", of)


def _share_within(name: str, title: str, definition: str, surface: Surface) -> Measure:
    def of(pair: Pair, rules: Rules) -> Value:
        apart: SurfaceDistances | None = getattr(pair, surface)
        return _none_met(pair, rules) if apart is None else (apart.within(rules.tolerance_mm), None)

    return Measure(name, title, definition, "1", "high", of, by_rules=_tolerance)


def _tolerance(rules: Rules) -> str:
    return f", {rules.tolerance_mm:g} mm"


SURFACES = (
    _distance("hd", "HD", "largest distance between border voxels", "border", SurfaceDistances.hausdorff),
    _distance(
        "hd95",
        "HD95",
        "larger of the two directed 95th percentiles between border voxels",
        "border",
        SurfaceDistances.percentile_directed,
    ),
    _distance(
        "hd95_pooled",
        "HD95 pooled",
        "95th percentile of both directions between border voxels",
        "border",
        SurfaceDistances.percentile_pooled,
    ),
    _distance(
        "hd95_area",
        "HD95 by area",
        "larger of the two directed 95th percentiles of surface area",
        "area",
        SurfaceDistances.percentile_weighted,
    ),
    _distance(
        "assd",
        "ASSD",
        "mean of both directions between border voxels",
        "border",
        SurfaceDistances.pooled_mean,
    ),
    _distance(
        "masd",
        "MASD",
        "mean of the two directed means of border voxels",
        "border",
        SurfaceDistances.mean_of_directed,
    ),
    _share_within("nsd", "NSD", "share of border voxels within tolerance", "border"),
    _share_within("nsd_area", "NSD by area", "share of surface area within tolerance", "area"),
)


def _none_met(pair: Pair, rules: Rules) -> Value:
    """No surface was met: none of it is within any tolerance, unless both are empty."""
    why = pair.emptiness
    if why == "both empty" and rules.empty == "one":
        return 1.0, why
    return (None, _nothing(pair)) if _is_open(pair, rules) else (0.0, why)


def _farthest(pair: Pair, rules: Rules) -> Value:
    """Both empty follows the policy; where one is empty the distance is missing, or the largest there is."""
    why = pair.emptiness
    if why == "both empty" and rules.empty == "one":
        return 0.0, why
    if _is_open(pair, rules) or rules.missed == "missing":
        return None, _nothing(pair)
    return pair.diagonal_mm, f"{why}: diagonal of the grid"


def _is_open(pair: Pair, rules: Rules) -> bool:
    hidden = rules.empty == "reference" and not pair.counts.reference
    return hidden or pair.emptiness in (None, "both empty")


def _nothing(pair: Pair) -> str:
    return pair.emptiness or "no surface in the annotated part"
