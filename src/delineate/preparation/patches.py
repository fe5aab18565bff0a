"""Patches: where samples are cut from the prepared cases.

Every sample is made from its own random generator, `default_rng((seed, fold, step, index))`, so that any
of them can be made again alone.
Source of the sampling rules: nnU-Net 2.8 (Isensee 2021, doi:10.1038/s41592-020-01008-z).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from delineate.errors import DataError, PlanError
from delineate.planning.plan import Configuration, ConfigurationName, Plan
from delineate.preparation.hardness import chances
from delineate.preparation.locations import ANNOTATED
from delineate.preparation.recipe import Cutout, Draw, Recipe
from delineate.space import Box, Shape, triple

Array = npt.NDArray[Any]


class CaseReader(Protocol):
    """A prepared case, read box by box; boxes lie within `shape`."""

    @property
    def shape(self) -> Shape: ...  # noqa: D102
    @property
    def classes_present(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def classes_annotated(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def missing(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def raters(self) -> int: ...  # noqa: D102
    @property
    def is_pseudo(self) -> bool: ...  # noqa: D102
    def drawn(self, box: Box, /) -> Array: ...  # noqa: D102
    def image(self, box: Box, /) -> Array: ...  # noqa: D102
    def labels(self, box: Box, /) -> Array: ...  # noqa: D102
    def previous(self, box: Box, /) -> Array: ...  # noqa: D102
    def objects(self, box: Box, /) -> Array: ...  # noqa: D102
    def locations(self, class_index: int, /) -> Array: ...  # noqa: D102


class StoreReader(Protocol):
    """Prepared cases by id."""

    def case(self, case_id: str, /) -> CaseReader: ...  # noqa: D102


@dataclass(frozen=True)
class Place:
    """Where a sample is cut from: a case and the lower corner of the patch in it."""

    case: str
    corner: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Batch:
    """What a training step gets.

    images  (sample, channel, *edges) float32
    labels  (sample, *edges) int64: 0 background, n the n-th label of the schema, -1 unknown; where single
            objects are learnt (sample, 2, *edges), these and the ids of objects; where several raters are,
            (sample, output, *edges) float32, the share of them who said so, -1 where nobody annotated
    ids     the case of each sample
    seeds   where single objects are learnt, a number for each sample: what a network draws follows from it
    """

    images: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    seeds: tuple[int, ...] = ()

    @property
    def told(self) -> tuple[Tensor, ...]:
        """What a network is given besides the images: the labels and seeds where there are seeds."""
        return (self.labels, torch.tensor(self.seeds)) if self.seeds else ()


@dataclass(frozen=True)
class Sampler:
    """Makes any batch of a training, by its number.

    Cases are drawn with replacement, all alike or by `chances`. The last `foreground` of each batch (one
    of two, with a share of a third) is centred on a foreground voxel: a class that the case has, all
    equally likely, and one of its stored voxels. The others lie anywhere within the scan.

    share       (rank, processes): of each batch, the samples that this process makes
    accumulate  how many batches of the configuration make up one of these
    hard_cases  share of the samples whose case is drawn by how hard it was
    chances     of each case, where they differ
    weights     of each case, where labels of models are drawn less often than those of people
    by_class    whether every patch is centred on an annotated voxel of a class, background among them, all
                classes of a case equally likely: for scribbles
    """

    store: StoreReader
    ids: tuple[str, ...]
    configuration: Configuration
    recipe: Recipe
    foreground: float
    seed: int
    fold: int
    share: tuple[int, int] = (0, 1)
    accumulate: int = 1
    hard_cases: float = 0.0
    chances: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    by_class: bool = False

    def __post_init__(self) -> None:
        if not self.ids:
            raise PlanError("there are no cases to train on: expected at least one id, got none")
        rank, processes = self.share
        if not 0 <= rank < processes <= self.configuration.batch:
            raise PlanError(
                f"a batch of {self.configuration.batch} cannot be shared by {processes} processes "
                f"(rank {rank}); use at most {self.configuration.batch} devices or a larger batch"
            )

    @classmethod
    def of(
        cls, plan: Plan, name: ConfigurationName, store: StoreReader, ids: Sequence[str], *, fold: int
    ) -> Self:
        """The training samples that a plan asks for."""
        training = plan.training
        return cls(
            store,
            tuple(ids),
            plan.configuration(name),
            Recipe.of(plan, name),
            foreground=training.foreground,
            seed=training.seed,
            fold=fold,
            accumulate=training.accumulate,
            hard_cases=training.hard_cases,
            weights=_weights(store, ids, training.pseudo_weight),
            by_class=training.patches == "classes",
        )

    @property
    def still(self) -> Sampler:
        """The same sampling, all cases alike, with nothing else random: for validation."""
        return replace(self, recipe=self.recipe.still, accumulate=1, hard_cases=0.0, chances=(), weights=())

    @property
    def size(self) -> int:
        """Samples in a batch."""
        return self.configuration.batch * self.accumulate

    def mined(self, hardness: Mapping[str, float]) -> Sampler:
        """The same, with some cases drawn by how hard they are."""
        drawn = chances(self.ids, hardness, self.hard_cases)
        return replace(
            self, chances=tuple(a * b for a, b in zip(drawn, self.weights or (1,) * len(drawn), strict=True))
        )

    def shared(self, rank: int, processes: int) -> Sampler:
        """What one of several processes makes; together they make the same batches as one."""
        return replace(self, share=(rank, processes))

    def batch(self, step: int, device: torch.device | str = "cpu") -> Batch:
        """The batch of a step; reading is done here, the rest on `device`."""
        rank, processes = self.share
        drawn = [self.draw(step, index) for index in range(rank, self.size, processes)]
        cutouts = [self.read(place, draw).on(torch.device(device)) for place, draw in drawn]
        images, labels = self.recipe.apply(cutouts, [draw for _, draw in drawn])
        seeds = tuple(draw.seed for _, draw in drawn if draw.seed is not None)
        return Batch(images, labels, tuple(place.case for place, _ in drawn), seeds)

    def draw(self, step: int, index: int) -> tuple[Place, Draw]:
        """Where the sample of a step is cut from, and what happens to it."""
        rng = np.random.default_rng((self.seed, self.fold, step, index))
        case_id = self.ids[self._case(rng)]
        forced = index >= round(self.size * (1 - self.foreground))
        with _naming(case_id):
            case = self.store.case(case_id)
            corner = self._corner(rng, case, forced)
        return Place(case_id, corner), self.recipe.draw(rng, case.missing)

    def _case(self, rng: np.random.Generator) -> int:
        """The number of a case."""
        uneven = self.chances or self.weights
        if not uneven:
            return int(rng.integers(len(self.ids)))
        steps = np.cumsum(uneven)
        return int(np.searchsorted(steps / steps[-1], rng.random(), side="right"))

    def read(self, place: Place, draw: Draw) -> Cutout:
        """The box that the draw needs; beyond the scan the image is 0, the label as the recipe says."""
        with _naming(place.case):
            case, box = self.store.case(place.case), self._box(place, draw)
            image = _padded(case.image, box, case.shape, (self.recipe.channels,), np.float32, 0)
            labels = _padded(case.labels, box, case.shape, (), np.int16, self.recipe.outside_label)
            if self.recipe.has_objects:
                objects = _padded(case.objects, box, case.shape, (), np.int32, 0)
                flat = self._flattened
                return Cutout(flat(image), flat(labels), objects=flat(objects))
            cutout = Cutout(self._flattened(image), self._flattened(labels))
            if self.recipe.shares:
                outside = self.recipe.outside_label
                drawn = _padded(case.drawn, box, case.shape, (case.raters,), np.int16, outside)
                cutout = replace(cutout, drawn=self._flattened(drawn))
            if self.recipe.previous_labels:
                previous = _padded(case.previous, box, case.shape, (), np.int16, 0)
                cutout = replace(cutout, previous=self._flattened(previous))
            return cutout

    def _box(self, place: Place, draw: Draw) -> Box:
        """The source box, about the middle of the patch."""
        reach = list(draw.reach)
        if self.configuration.slice_axis is not None:
            reach.insert(self.configuration.slice_axis, 1)
        sides = zip(place.corner, reach, self.configuration.patch, strict=True)
        start = triple(corner - (far - edge) // 2 for corner, far, edge in sides)
        return Box(start, triple(first + far for first, far in zip(start, reach, strict=True)))

    def _flattened(self, array: Array) -> Tensor:
        """The array as a tensor, without the axis across the slices in 2D."""
        tensor, across = torch.from_numpy(array), self.configuration.slice_axis
        return tensor if across is None else tensor.squeeze(across - 3)

    def _corner(self, rng: np.random.Generator, case: CaseReader, forced: bool) -> tuple[int, int, int]:
        """The lower corner of the patch.

        Within the scan; a scan that is smaller than the patch lies in its middle. About a chosen
        voxel the patch may stick out at the upper end, but not at the lower, as in nnU-Net.
        """
        sides = tuple(zip(case.shape, self.configuration.patch, strict=True))
        lowest = [min(0, -((edge - size) // 2)) for size, edge in sides]
        voxels = self._choice(rng, case, forced)
        if not len(voxels):
            free = [max(0, size - edge) for size, edge in sides]
            return triple(low + int(rng.integers(n + 1)) for low, n in zip(lowest, free, strict=True))
        voxel = voxels[int(rng.integers(len(voxels)))]
        centred = [int(v) - edge // 2 for v, (_, edge) in zip(voxel, sides, strict=True)]
        return triple(max(low, corner) for low, corner in zip(lowest, centred, strict=True))

    def _choice(self, rng: np.random.Generator, case: CaseReader, forced: bool) -> Array:
        """(n, 3) voxels of which one is the centre of the patch; none for a patch anywhere.

        Where only some voxels are annotated, all patches are centred on such.
        """
        present = case.classes_annotated if self.by_class else case.classes_present
        if (forced or self.by_class) and len(present):
            return case.locations(present[int(rng.integers(len(present)))])
        return case.locations(ANNOTATED) if self.recipe.has_unknown else np.empty((0, 3), np.int32)


def _weights(store: StoreReader, ids: Sequence[str], pseudo: float) -> tuple[float, ...]:
    """How often each case is drawn against one that people labelled; nothing where all are alike."""
    if pseudo == 1:
        return ()
    return tuple(pseudo if store.case(case_id).is_pseudo else 1.0 for case_id in ids)


@contextmanager
def _naming(case_id: str) -> Iterator[None]:
    """Says which case could not be read; our own errors say it themselves."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, LookupError) as error:
        raise DataError(
            f"{case_id}: its prepared data could not be read: {error}. "
            "Delete its folder and run `delineate prepare` again."
        ) from error


def _padded(
    read: Callable[[Box], Array],
    box: Box,
    shape: Shape,
    lead: tuple[int, ...],
    kind: type[np.generic],
    outside: int,
) -> Array:
    """What `read` gives for a box that may stick out of the scan, with `outside` around it."""
    result = np.full((*lead, *box.shape), outside, kind)
    inside = box.clipped(shape)
    if min(inside.shape) > 0:
        moved = Box(
            triple(a - b for a, b in zip(inside.start, box.start, strict=True)),
            triple(a - b for a, b in zip(inside.stop, box.start, strict=True)),
        )
        values = read(inside)
        if values.shape != (*lead, *inside.shape):  # assigning would repeat a single channel
            raise ValueError(f"expected an array of {(*lead, *inside.shape)}, got {values.shape}")
        result[(..., *moved.slices)] = values
    return result
