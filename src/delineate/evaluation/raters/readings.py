"""Readings: what several people drew of one structure of one case, and how far apart they are.

Neither of two readers is the reference, so what is said of a pair has no direction, or changes its sign with
it: the volume bias is a share of the mean of both volumes, and the offset of one border from the other is
averaged over both borders. Roughness is the surface in voxel faces, free of scale (area^1.5 / volume, and in
a picture perimeter^2 / area): what is ragged has more faces around the same volume.

Sources: Bland and Altman 1986, doi:10.1016/S0140-6736(86)90837-8 (differences against means); Fleiss 1971,
doi:10.1037/h0031619, and Cohen 1960, doi:10.1177/001316446002000104 (kappa).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from scipy.spatial import cKDTree

from delineate.evaluation.raters.decisions import NOTHING, Bools, Decisions, Numbers, number, ratio
from delineate.evaluation.raters.fusion import Consensus, FusionRules, check_maps, concluded
from delineate.evaluation.surface import border
from delineate.record import Record
from delineate.space import Box, Geometry, LabelMap


class Pairing(Record):
    """Two readers' structure in one case; None where there is nothing to compare.

    kappa        Cohen's, within the field of view
    volume_bias  (one - other) / mean of both
    offset_mm    mean distance of `one`'s border from `other`'s, positive where it lies outside
    """

    case: str
    structure: str
    one: str
    other: str
    dice: float | None
    kappa: float | None
    hd95_mm: float | None
    volume_bias: float | None
    offset_mm: float | None


class Reading(Record):
    """One reader's structure in one case.

    sensitivity, specificity, dice  against the consensus of all raters
    dice_of_others                  of a rater: with the consensus of the other raters
    model_of_others                 of the model, with that same consensus without this rater
    """

    case: str
    structure: str
    reader: str
    volume_ml: float
    roughness: float | None
    sensitivity: float | None
    specificity: float | None
    dice: float | None
    dice_of_others: float | None = None
    model_of_others: float | None = None


class Sitting(Record):
    """One structure of one case as all raters saw it.

    kappa            Fleiss', within the field of view; None where all agree on nothing, or on everything
    consensus_ml     volume of the consensus
    consensus_voxels and in voxels
    field            voxels in the field of view
    """

    case: str
    structure: str
    raters: int
    kappa: float | None
    consensus_ml: float
    consensus_voxels: int
    field: int


@dataclass(frozen=True)
class CaseReadings:
    """All that was found in one case."""

    pairings: tuple[Pairing, ...]
    readings: tuple[Reading, ...]
    sittings: tuple[Sitting, ...]


def read_case(
    case: str,
    maps: Mapping[str, LabelMap],
    *,
    model: tuple[str, LabelMap] | None = None,
    rules: FusionRules | None = None,
) -> CaseReadings:
    """What the raters (name -> map) of one case, and a model, drew of every structure.

    The model has no part in the consensus and does not widen its field of view.

    Raises:
        DataError: no raters, or labels that mean different things.
        GeometryError: the maps are on different grids.
    """
    everybody = {**maps, **({model[0]: model[1]} if model else {})}
    check_maps(everybody, case=case)
    rules = rules or FusionRules()
    first = next(iter(everybody.values()))
    decisions = Decisions.of(tuple(everybody.values()), margin_mm=rules.margin_mm, framing=len(maps))
    people = decisions.first(len(maps))
    consensus = concluded(people, first.schema, tuple(maps), rules)
    others = [
        concluded(people.without(number), first.schema, _without(tuple(maps), number), rules)
        for number in range(len(maps))
        if len(maps) > 1
    ]
    rooms = [
        Room(case, structure, values, tuple(everybody), len(maps), decisions, first.geometry, consensus)
        for structure, values in first.schema.structures.items()
    ]
    return CaseReadings(
        tuple(pairing for room in rooms for pairing in room.pairings()),
        tuple(reading for room in rooms for reading in room.readings(others)),
        tuple(room.sitting() for room in rooms),
    )


@dataclass(frozen=True, eq=False)
class Room:
    """One structure of one case with everybody who drew it; the first `raters` readers are raters."""

    case: str
    structure: str
    values: tuple[int, ...]
    readers: tuple[str, ...]
    raters: int
    decisions: Decisions
    grid: Geometry
    consensus: Consensus

    @cached_property
    def votes(self) -> Bools:
        """(pattern, reader)."""
        return self.decisions.votes(self.values)

    def pairings(self) -> Iterator[Pairing]:
        """Every two readers."""
        dice, sizes = _pairwise_dice(self.decisions, self.votes)
        kappa, outlines = _pairwise_kappa(self.decisions, self.votes), self.outlines
        for a, b in combinations(range(len(self.readers)), 2):
            apart = Apart.of(outlines[a], outlines[b])
            mean = (sizes[a, b] + sizes[b, a]) / 2
            yield Pairing(
                case=self.case,
                structure=self.structure,
                one=self.readers[a],
                other=self.readers[b],
                dice=number(dice[a, b]),
                kappa=number(kappa[a, b]),
                hd95_mm=apart.hd95 if apart else None,
                volume_bias=float((sizes[a, b] - sizes[b, a]) / mean) if mean else None,
                offset_mm=apart.offset if apart else None,
            )

    def readings(self, others: Sequence[Consensus]) -> Iterator[Reading]:
        """Every reader; `others` are the consensuses without each rater."""
        share = self.consensus.shares[:, list(self.consensus.structures).index(self.structure)]
        sensitivity, specificity = self.decisions.rates(self.votes, share)
        dice = self.decisions.dice(self.votes, self.consensus.has(self.structure))
        left = [self.decisions.dice(self.votes, each.has(self.structure)) for each in others]
        volumes = self.decisions.total @ self.votes * self.grid.voxel_ml
        has_model = len(self.readers) > self.raters
        for place, reader in enumerate(self.readers):
            is_rater = place < len(left)
            yield Reading(
                case=self.case,
                structure=self.structure,
                reader=reader,
                volume_ml=float(volumes[place]),
                roughness=self.outlines[place].roughness,
                sensitivity=number(sensitivity[place]),
                specificity=number(specificity[place]),
                dice=number(dice[place]),
                dice_of_others=number(left[place][place]) if is_rater else None,
                model_of_others=number(left[place][-1]) if is_rater and has_model else None,
            )

    def sitting(self) -> Sitting:
        """All raters together."""
        people = self.decisions.first(self.raters)
        table = np.stack([(people.known & ~self.votes[:, : self.raters]), self.votes[:, : self.raters]], -1)
        voxels = int(self.decisions.total @ self.consensus.has(self.structure))
        return Sitting(
            case=self.case,
            structure=self.structure,
            raters=self.raters,
            kappa=number(fleiss_kappa(table.sum(axis=1), self.decisions.counts)),
            consensus_ml=voxels * self.grid.voxel_ml,
            consensus_voxels=voxels,
            field=self.consensus.field,
        )

    @cached_property
    def outlines(self) -> tuple[Outline, ...]:
        """The shape that each reader drew, cut to where anybody drew; the rest of a shape is unknown."""
        anybody = self.decisions.mask(np.asarray(self.votes.any(axis=1)))
        part = (Box.around(anybody) or NOTHING).slices
        # One voxel around tells a shape that is one slice thick from a picture, which has no third axis.
        around = [(int(count > 1),) * 2 for count in self.grid.shape]
        known = self.decisions.mask(np.asarray(self.decisions.known.all(axis=1)))[part]
        masks = [self.decisions.mask(column)[part] & known for column in self.votes.T]
        known = np.pad(known, around, constant_values=True)
        return tuple(Outline(np.pad(mask, around), known, self.grid) for mask in masks)


@dataclass(frozen=True, eq=False)
class Outline:
    """A shape in a part of a grid: its voxels, and those along its border."""

    mask: Bools
    known: Bools
    grid: Geometry

    @cached_property
    def rim(self) -> Bools:
        """The voxels that touch the outside by a face."""
        return border(self.mask, self.known)

    @cached_property
    def tree(self) -> cKDTree:
        """The places of the border in mm."""
        return cKDTree(self._places(self.rim), balanced_tree=False, compact_nodes=False)

    def signed(self, other: Outline) -> Numbers:
        """For each border voxel, how far the other border is in mm, below 0 within the other shape."""
        shared = other.rim[self.rim]
        result = np.zeros(len(shared))
        if not shared.all():
            distance = other.tree.query(self._places(self.rim)[~shared])[0]
            result[~shared] = np.where(other.mask[self.rim][~shared], -distance, distance)
        return result

    @property
    def roughness(self) -> float | None:
        """The surface for the volume, free of scale; None where nothing was drawn."""
        voxels = int(np.count_nonzero(self.mask))
        if not voxels:
            return None
        flat = [axis for axis, count in enumerate(self.grid.shape) if count == 1]
        area = sum(
            float(face) * int(np.count_nonzero(np.diff(np.pad(self.mask, 1).astype(np.int8), axis=axis)))
            for axis, face in enumerate(_faces(self.grid, flat))
        )
        size = voxels * _size(self.grid, flat)
        return area**2 / size if flat else area**1.5 / size

    def _places(self, voxels: Bools) -> Numbers:
        return np.asarray(np.argwhere(voxels) @ self.grid.affine[:3, :3].T)


@dataclass(frozen=True)
class Apart:
    """How far two borders are from each other in mm."""

    hd95: float
    offset: float

    @classmethod
    def of(cls, one: Outline, other: Outline) -> Apart | None:
        """None where one of them has no border."""
        if not one.rim.any() or not other.rim.any():
            return None
        there, back = one.signed(other), other.signed(one)
        far = [float(np.percentile(np.abs(distances), 95)) for distances in (there, back)]
        return cls(max(far), float(there.mean() - back.mean()) / 2)


def _faces(grid: Geometry, flat: Sequence[int]) -> list[float]:
    """Area of a voxel's face across each axis in mm^2; in a picture, the length of its edge in mm."""
    steps = grid.affine[:3, :3].T
    if flat:
        i, j = (axis for axis in range(3) if axis not in flat[:1])
        lengths = {i: float(np.linalg.norm(steps[j])), j: float(np.linalg.norm(steps[i]))}
        return [lengths.get(axis, 0.0) for axis in range(3)]
    return [float(np.linalg.norm(np.cross(steps[(a + 1) % 3], steps[(a + 2) % 3]))) for a in range(3)]


def _size(grid: Geometry, flat: Sequence[int]) -> float:
    """Volume of a voxel in mm^3; in a picture, its area in mm^2."""
    if not flat:
        return grid.voxel_ml * 1000
    i, j = (grid.affine[:3, axis] for axis in range(3) if axis not in flat[:1])
    return float(np.linalg.norm(np.cross(i, j)))


# --- by pattern


def _pairwise_dice(decisions: Decisions, said: Bools) -> tuple[Numbers, Numbers]:
    """(reader, reader) Dice in the whole scan, NaN where both are empty; and the voxels of the first.

    Only voxels that both decided are counted.
    """
    counted = decisions.total[:, None] * said
    sizes = counted.T @ decisions.known
    return ratio(2 * (counted.T @ said), sizes + sizes.T), sizes


def _pairwise_kappa(decisions: Decisions, said: Bools) -> Numbers:
    """(reader, reader) Cohen's kappa in the field of view; NaN where chance alone explains everything."""
    known = decisions.known.astype(float)
    counted = decisions.counts[:, None] * known
    voxels = counted.T @ known
    yes = (decisions.counts[:, None] * said).T @ known  # of one, where the other decided too
    both = (decisions.counts[:, None] * said).T @ said
    agreed = ratio(voxels - yes - yes.T + 2 * both, voxels)
    one, other = ratio(yes, voxels), ratio(yes.T, voxels)
    chance = one * other + (1 - one) * (1 - other)
    return ratio(agreed - chance, 1 - chance)


def fleiss_kappa(table: Numbers, counts: Numbers) -> float:
    """Fleiss' kappa of a table (item, category) of how many raters chose what; items come `counts` times.

    Items that fewer than two raters decided say nothing. NaN where all raters always chose one category.
    """
    raters = table.sum(axis=1)
    pairs = raters * (raters - 1)
    items = np.where(pairs > 0, counts, 0.0)
    if not items.any():
        return float("nan")
    agreed = items @ ratio((table * (table - 1)).sum(axis=1), pairs, empty=0.0) / items.sum()
    shares = items @ table / (items @ raters)
    chance = float(shares @ shares)
    return float((agreed - chance) / (1 - chance)) if chance < 1 else float("nan")


def _without(names: tuple[str, ...], place: int) -> tuple[str, ...]:
    return names[:place] + names[place + 1 :]
