"""Fingerprint: what the data tell us, measured once, before anything is decided.

Of each case: grid, how it lies, what is left without its empty border, range of values, label volumes. Of
all cases together: how foreground voxels are distributed, each case counting the same however large its
structures are, as in nnU-Net (Isensee 2021, doi:10.1038/s41592-020-01008-z).

Nothing is sampled. Two fingerprints merge to the same third in whichever order and grouping, bit for bit,
so cases may be measured in parallel, added later, or at another hospital.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from delineate.errors import DataError, PlanError
from delineate.planning.histogram import Histogram
from delineate.planning.objects import ObjectSizes, sizes_of
from delineate.progress import Progress, silent
from delineate.record import Record
from delineate.space import LabelMap, LabelSchema, Shape, Spacing, Volume, nonzero_box, triple
from delineate.space.orientation import turn

if TYPE_CHECKING:
    from delineate.dataset import Case, Dataset


class ChannelRange(Record):
    """Values of one channel of one case: over the whole scan, and over its foreground voxels."""

    minimum: float
    maximum: float
    mean: float | None = None  # of the foreground; None where the case has none
    sd: float | None = None
    low: float | None = None  # smallest and largest of the foreground
    high: float | None = None


class CaseFingerprint(Record):
    """What one case tells us. Its axes are those of its file, not of the dataset."""

    id: str
    shape: Shape  # voxels along (i, j, k)
    cropped: Shape  # ... without the border where every channel is zero
    spacing: Spacing  # mm, to 6 digits: the rest is noise of the affine
    orientation: str  # how the axes of the file lie ("LPS")
    dtype: str
    ranges: tuple[ChannelRange | None, ...]  # one per channel; None where the case lacks it
    label_voxels: tuple[int, ...]  # one per label of the schema

    @property
    def kept(self) -> float:
        """Share of the voxels that are left after cropping."""
        return float(np.prod(self.cropped, dtype=float) / np.prod(self.shape, dtype=float))

    def turned(self, orientation: str) -> tuple[Shape, Shape, Spacing]:
        """Shape, cropped shape and spacing along the axes of another orientation."""
        order, _ = turn(self.orientation, orientation)
        return (
            triple(self.shape[axis] for axis in order),
            triple(self.cropped[axis] for axis in order),
            triple(self.spacing[axis] for axis in order),
        )


class Intensities(Record):
    """How the foreground voxels of one channel are distributed, every case counting the same."""

    mean: float
    sd: float
    median: float
    minimum: float
    maximum: float
    low: float  # 0.5 percentile
    high: float  # 99.5 percentile


class Fingerprint(Record):
    """What a labelled dataset tells us."""

    version: Literal[1] = 1
    dataset: str
    labels: LabelSchema
    channels: tuple[str, ...]
    cases: tuple[CaseFingerprint, ...]  # in the order of their ids
    foreground: tuple[Histogram, ...]  # one per channel
    objects: ObjectSizes | None = Field(  # where labels number objects
        default=None, exclude_if=lambda value: value is None
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        ids = [case.id for case in self.cases]
        if ids != sorted(set(ids)):
            raise ValueError("cases come in the order of their ids, each once")
        if len(self.foreground) != len(self.channels) or not self.channels:
            raise ValueError(f"{len(self.channels)} channels need as many foreground histograms")
        for case in self.cases:
            if len(case.ranges) != len(self.channels):
                raise ValueError(f"{case.id}: one range per channel, got {len(case.ranges)}")
            if len(case.label_voxels) != len(self.labels.labels):
                raise ValueError(f"{case.id}: one volume per label, got {len(case.label_voxels)}")
        return self

    def merged(self, other: Fingerprint) -> Fingerprint:
        """The fingerprint of the cases of both.

        Raises:
            PlanError: they are not parts of one dataset, or share cases.
        """
        for what in ("dataset", "channels", "labels"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if mine != theirs:
                raise PlanError(
                    f"fingerprints of different {what} do not merge: {mine} and {theirs}. "
                    f"If they are the same thing by two names, rename one: other.but({what}=...)."
                )
        twice = sorted({case.id for case in self.cases} & {case.id for case in other.cases})
        if twice:
            raise PlanError(f"these cases are in both fingerprints: {', '.join(twice)}. Measure each once.")
        return self.but(
            cases=tuple(sorted((*self.cases, *other.cases), key=lambda case: case.id)),
            foreground=tuple(
                Histogram.sum(pair) for pair in zip(self.foreground, other.foreground, strict=True)
            ),
            objects=_together([self.objects, other.objects]),
        )

    @property
    def orientation(self) -> str:
        """How most of the cases lie; among equals the first in the alphabet."""
        counts = Counter(case.orientation for case in self.cases)
        return min(counts, key=lambda code: (-counts[code], code))

    @property
    def shapes(self) -> npt.NDArray[np.int64]:
        """(case, 3) voxels along the axes of `orientation`, before cropping."""
        return np.array([case.turned(self.orientation)[0] for case in self.cases])

    @property
    def cropped_shapes(self) -> npt.NDArray[np.int64]:
        """(case, 3) voxels along the axes of `orientation`, without the empty border."""
        return np.array([case.turned(self.orientation)[1] for case in self.cases])

    @property
    def spacings(self) -> npt.NDArray[np.float64]:
        """(case, 3) mm along the axes of `orientation`."""
        return np.array([case.turned(self.orientation)[2] for case in self.cases])

    @property
    def kept(self) -> float:
        """Median share of the voxels that cropping leaves."""
        return float(np.median([case.kept for case in self.cases]))

    def lacking(self, channel: int) -> int:
        """How many cases lack a channel."""
        return sum(case.ranges[channel] is None for case in self.cases)

    def intensities(self, channel: int) -> Intensities | None:
        """The foreground of one channel; None where no case has any foreground."""
        ranges = [case.ranges[channel] for case in self.cases]
        found = [(r.mean, r.sd, r.low, r.high) for r in ranges if r is not None and r.mean is not None]
        if not found:
            return None
        means, sds, lows, highs = np.array(found, dtype=np.float64).T
        mean = float(np.mean(means))
        return Intensities(
            mean=mean,
            sd=float(np.sqrt(np.mean(sds**2 + (means - mean) ** 2))),
            median=self.foreground[channel].percentile(50),
            minimum=float(lows.min()),
            maximum=float(highs.max()),
            low=self.foreground[channel].percentile(0.5),
            high=self.foreground[channel].percentile(99.5),
        )


def fingerprint(dataset: Dataset, *, workers: int = 2, progress: Progress = silent) -> Fingerprint:
    """The fingerprint of the labelled cases, `workers` of them in memory at a time.

    Foreground is every labelled voxel that is not background and not the ignore label.

    Raises:
        DataError: no labelled case, a scan with NaN or infinite values, or labels that lie elsewhere.
    """
    if not dataset.cases:
        raise DataError(
            f"{dataset.name}: has no labelled case to measure. Expected images with label maps in "
            f"{dataset.root}; `delineate check` says what was found."
        )
    measured: list[_Measured] = []
    for case, found in zip(dataset.cases, _measured(dataset, workers), strict=True):
        measured.append(found)
        progress(len(measured), len(dataset.cases), case.id)
    return Fingerprint(
        dataset=dataset.name,
        labels=dataset.schema,
        channels=dataset.channels,
        cases=tuple(sorted((case for case, _, _ in measured), key=lambda case: case.id)),
        foreground=tuple(Histogram.sum(parts) for parts in zip(*(h for _, h, _ in measured), strict=True)),
        objects=_together(objects for _, _, objects in measured),
    )


_Measured = tuple[CaseFingerprint, tuple[Histogram, ...], ObjectSizes | None]


def _together(parts: Iterable[ObjectSizes | None]) -> ObjectSizes | None:
    """The objects of all parts that have any to count."""
    counted = [part for part in parts if part is not None]
    return ObjectSizes.sum(counted) if counted else None


def _measured(dataset: Dataset, workers: int) -> Iterator[_Measured]:
    """What each case tells us, in order. Threads: reading and numpy let others run meanwhile."""

    def measure(case: Case) -> _Measured:
        scan, labels = dataset.pair(case)
        numbered = dataset.numbers_objects
        objects = sizes_of(dataset.objects(case), scan.geometry.spacing) if numbered else None
        return *_of_case(case.id, scan, labels, dataset.channels), objects

    if workers <= 1:
        yield from map(measure, dataset.cases)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from pool.map(measure, dataset.cases)
        finally:
            pool.shutdown(cancel_futures=True)


def _of_case(
    name: str, scan: Volume, labels: LabelMap, channels: tuple[str, ...]
) -> tuple[CaseFingerprint, tuple[Histogram, ...]]:
    _refuse_unmeasured(name, scan)
    box = nonzero_box(scan)
    inside = labels.array[box.slices]
    known = inside != 0 if labels.schema.ignore is None else (inside != 0) & (inside != labels.schema.ignore)
    inner = scan.cropped(box)
    foreground = dict(zip(scan.channels, (channel[known] for channel in inner.array), strict=True))
    whole = dict(zip(scan.channels, scan.array, strict=True))
    case = CaseFingerprint(
        id=name,
        shape=scan.geometry.shape,
        cropped=box.shape,
        spacing=triple(float(f"{s:.6g}") for s in scan.geometry.spacing),
        orientation=scan.geometry.orientation,
        dtype=str(scan.array.dtype),
        ranges=tuple(_range(whole[c], foreground[c]) if c in whole else None for c in channels),
        label_voxels=_volumes(labels),
    )
    return case, tuple(Histogram.of(foreground[c]) if c in whole else Histogram() for c in channels)


def _refuse_unmeasured(name: str, scan: Volume) -> None:
    for channel, values in zip(scan.channels, scan.array, strict=True):
        wrong = values.size - np.count_nonzero(np.isfinite(values))
        if wrong:
            raise DataError(
                f"{name}: {wrong} voxels of channel {channel!r} are NaN or infinite{scan.source.note}. "
                "Replace them (by 0, or by what lies around them) or leave the case out."
            )


def _range(values: npt.NDArray[Any], foreground: npt.NDArray[Any]) -> ChannelRange:
    whole = {"minimum": float(values.min()), "maximum": float(values.max())}
    if foreground.size == 0:
        return ChannelRange(**whole)
    return ChannelRange(
        **whole,
        mean=float(foreground.mean(dtype=np.float64)),
        sd=float(foreground.std(dtype=np.float64)),
        low=float(foreground.min()),
        high=float(foreground.max()),
    )


def _volumes(labels: LabelMap) -> tuple[int, ...]:
    counts = np.bincount(labels.array.ravel(), minlength=max(labels.schema.values) + 1)
    return tuple(int(counts[label.value]) for label in labels.schema.labels)
