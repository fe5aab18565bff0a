"""Surfaces: measures of how far the surfaces of the two masks are apart.

A name says which number, of which surface, and, where it is of one direction, from which mask: `hd95_mesh`,
`asd_area_from_reference`. Without a surface it is that of border voxels. What measures say where there is no
surface to measure from is decided here, once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from delineate.errors import DataError
from delineate.evaluation.distances import Directed, SurfaceDistances
from delineate.evaluation.measures.pair import Kind, Measure, Pair, Value

if TYPE_CHECKING:
    from delineate.evaluation.measures.rules import Rules

Start = Literal["reference", "prediction"]
Number = Callable[[SurfaceDistances], float]
Share = Callable[[SurfaceDistances, float], float]  # within so many mm


@dataclass(frozen=True)
class Surface:
    """What a mask's surface is taken to be, and the words for it."""

    kind: Kind
    suffix: str  # of names
    by: str  # in titles
    elements: str  # that distances start from
    between: str
    counted: str  # that percentiles and shares are of
    weighted: str

    @property
    def percentile(self) -> Number:
        """The larger of the two directions' 95th percentiles, as tools with this surface have it."""
        if self.kind == "border":
            return SurfaceDistances.percentile_directed
        return SurfaceDistances.percentile_weighted

    @property
    def directed_percentile(self) -> Callable[[Directed], float]:
        """The same of one direction."""
        return Directed.percentile if self.kind == "border" else Directed.percentile_weighted


BORDER = Surface("border", "", "", "border voxels", "between border voxels", "border voxels", "")
AREA = Surface(
    "area",
    "_area",
    " by area",
    "surface elements",
    "between surface elements",
    "surface area",
    ", weighted by area",
)
MESH = Surface(
    "mesh",
    "_mesh",
    " of meshes",
    "mesh elements",
    "from elements of one mesh to the other mesh",
    "mesh area",
    ", weighted by area",
)


def _distance(
    name: str, title: str, definition: str, surface: Surface, value: Number, start: Start | None = None
) -> Measure:
    def of(pair: Pair, rules: Rules) -> Value:
        apart = pair.apart(surface.kind)
        return _farthest(pair, rules, start) if apart is None else (value(apart), None)

    return Measure(name, title, definition, "mm", "low", of)


def _share_within(
    name: str, title: str, definition: str, surface: Surface, value: Share, start: Start | None = None
) -> Measure:
    def of(pair: Pair, rules: Rules) -> Value:
        apart = pair.apart(surface.kind)
        return _none_met(pair, rules, start) if apart is None else (value(apart, _tolerance_mm(rules)), None)

    def at(tolerance_mm: float) -> Measure:
        there = f"{tolerance_mm:g} mm"
        return replace(
            measure,
            name=f"{name}@{tolerance_mm:g}",
            title=f"{title} {there}",
            definition=f"{definition}, {there}",
            of=lambda pair, rules: of(pair, rules.but(tolerance_mm=tolerance_mm)),
            by_rules=None,
            at=None,
        )

    measure = Measure(name, title, definition, "1", "high", of, by_rules=_tolerance, at=at)
    return measure


def _symmetric(surface: Surface) -> Iterator[Measure]:
    """Of both directions together."""
    tail, by, between, weighted = surface.suffix, surface.by, surface.between, surface.weighted
    words = f"largest distance {between}"
    yield _distance(f"hd{tail}", f"HD{by}", words, surface, SurfaceDistances.hausdorff)
    of = between if surface.kind == "border" else f"of {surface.counted}"
    words = f"larger of the two directed 95th percentiles {of}"
    yield _distance(f"hd95{tail}", f"HD95{by}", words, surface, surface.percentile)
    if surface.kind == "border":
        words = f"95th percentile of both directions {between}"
        yield _distance("hd95_pooled", "HD95 pooled", words, surface, SurfaceDistances.percentile_pooled)
    words = f"mean of both directions {between}{weighted}"
    yield _distance(f"assd{tail}", f"ASSD{by}", words, surface, SurfaceDistances.pooled_mean)
    words = f"mean of the two directed means of {surface.elements}{weighted}"
    yield _distance(f"masd{tail}", f"MASD{by}", words, surface, SurfaceDistances.mean_of_directed)
    words = f"share of {surface.counted} within tolerance"
    yield _share_within(f"nsd{tail}", f"NSD{by}", words, surface, SurfaceDistances.within)


def _directed(surface: Surface, start: Start) -> Iterator[Measure]:
    """From one of the masks to the other."""

    def one(apart: SurfaceDistances) -> Directed:
        return apart.from_reference if start == "reference" else apart.from_prediction

    tail, by = f"{surface.suffix}_from_{start}", f"{surface.by} from {start}"
    of = f"distance from {surface.elements} of the {start} to the other surface"
    for name, title, words, value in (
        ("hd", "HD", f"largest {of}", Directed.largest),
        ("hd95", "HD95", f"95th percentile of the {of}{surface.weighted}", surface.directed_percentile),
        ("asd", "ASD", f"mean {of}{surface.weighted}", Directed.mean),
    ):
        yield _distance(name + tail, title + by, words, surface, _after(one, value), start)
    words = f"share of {surface.counted} of the {start} within tolerance of the other surface"
    yield _share_within(f"nsd{tail}", f"NSD{by}", words, surface, lambda a, mm: one(a).within(mm), start)


def _after(one: Callable[[SurfaceDistances], Directed], value: Callable[[Directed], float]) -> Number:
    return lambda apart: value(one(apart))


def _tolerance_mm(rules: Rules) -> float:
    """The tolerance of rules that are about one structure."""
    if isinstance(rules.tolerance_mm, dict):
        raise DataError(
            f"tolerances are by structure: {', '.join(rules.tolerance_mm)}. Say of which structure this is: "
            "rules.of(structure)."
        )
    return rules.tolerance_mm


def _tolerance(rules: Rules) -> str:
    """What the rules add to a definition."""
    if isinstance(rules.tolerance_mm, dict):
        each = (f"{mm:g} mm ({structure})" for structure, mm in rules.tolerance_mm.items())
        return ", " + ", ".join(each)
    return f", {rules.tolerance_mm:g} mm"


SURFACES = tuple(measure for surface in (BORDER, AREA, MESH) for measure in _symmetric(surface))
STARTS: tuple[Start, ...] = ("reference", "prediction")
DIRECTED = tuple(
    measure for surface in (BORDER, AREA, MESH) for start in STARTS for measure in _directed(surface, start)
)


def _none_met(pair: Pair, rules: Rules, start: Start | None) -> Value:
    """No surface was met: none of it is within any tolerance, unless both are empty."""
    why = pair.emptiness
    if why == "both empty" and rules.empty == "one":
        return 1.0, why
    return (None, _nothing(pair)) if _is_open(pair, rules, start) else (0.0, why)


def _farthest(pair: Pair, rules: Rules, start: Start | None) -> Value:
    """Both empty follows the policy; where one is empty the distance is missing, or the largest there is."""
    why = pair.emptiness
    if why == "both empty" and rules.empty == "one":
        return 0.0, why
    if _is_open(pair, rules, start) or rules.missed == "missing":
        return None, _nothing(pair)
    return pair.diagonal_mm, f"{why}: diagonal of the grid"


def _is_open(pair: Pair, rules: Rules, start: Start | None) -> bool:
    """Whether there is nothing to say: no surface that a distance could start from, or one that is hidden."""
    hidden = rules.empty == "reference" and not pair.counts.reference
    return hidden or pair.emptiness in (None, "both empty", f"{start} empty")


def _nothing(pair: Pair) -> str:
    return pair.emptiness or "no surface in the annotated part"
