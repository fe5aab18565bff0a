"""Baselines: what methods without learning reach, so that a network has something to beat.

threshold       a window of one channel's values (CT) or of their ranks within the scan (where the units
                mean nothing, as in magnetic resonance)
otsu            one class of Otsu's two or three (Otsu 1979, doi:10.1109/TSMC.1979.4310076)
region growing  a flood from the deepest voxel of the window (Adams and Bischof 1994, doi:10.1109/34.295913)
watershed       of the gradient, from inside and outside the window (Beucher and Meyer 1993)

Channel, window and the few other numbers are those with the best Dice on *training* cases; a new scan is
segmented without looking at any reference, seeds included. Scans are brought to at most `VOXELS` voxels
first: these methods need no more, and a large CT would take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cc3d
import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_multiotsu
from skimage.segmentation import flood, watershed

from delineate.errors import DataError
from delineate.evaluation.overlap import Confusion, Mask
from delineate.progress import Progress, silent
from delineate.record import Record
from delineate.space import Box, Geometry, LabelMap, LabelSchema, Volume, triple

Field = npt.NDArray[np.floating[Any]]  # (i, j, k), one channel
Method = Literal["threshold", "otsu", "region growing", "watershed"]
Choice = TypeVar("Choice")
Scale = Literal["values", "ranks"]
SCALES: tuple[Scale, ...] = ("values", "ranks")
METHODS: tuple[Method, ...] = ("threshold", "otsu", "region growing", "watershed")

VOXELS = 250_000
BINS = 96  # ends of windows are looked for among so many
TOLERANCES = (0.15, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)  # of the scan's standard deviation
DEPTHS = (0.25, 0.5, 0.75)  # of the deepest voxel: what surely lies inside
MARGIN = 3  # voxels from the window: what surely lies outside


class Window(Record):
    """The values of one channel from `low` up to below `high`; None is an open end.

    On the scale of ranks an end is a share of the scan's voxels: 0.9 stands for the value below which nine
    tenths of them lie.
    """

    channel: str
    scale: Scale
    low: float | None
    high: float | None


class OtsuClass(Record):
    """One class of Otsu's, counted from the darkest."""

    channel: str
    classes: Literal[2, 3]
    chosen: int


class StructureRule(Record):
    """How each method finds one structure, and the Dice that it reached on the training cases."""

    structure: str
    window: Window
    otsu: OtsuClass
    tolerance: float  # of region growing, in standard deviations of the scan
    depth: float  # of the watershed's inner marker, as a share of the deepest voxel
    largest: dict[Method, bool]  # whether only the largest component is kept
    dice: dict[Method, float]
    voxels: float  # mean size in training, which decides what is painted over what


class Baselines(Record):
    """Classical methods fitted to training cases."""

    labels: LabelSchema
    channels: tuple[str, ...]
    cases: tuple[str, ...]
    rules: tuple[StructureRule, ...]  # structures that no training case has are never found


@dataclass(frozen=True, eq=False)
class Example:
    """A training scan, small enough, with the mask of every structure."""

    scan: Volume
    masks: dict[str, Mask]
    ordered: dict[str, Field]  # channel -> its values in ascending order

    @classmethod
    def of(cls, scan: Volume, labels: LabelMap) -> Example:
        """The example of a scan of any size and its labels."""
        small = _small(scan)
        there = labels.resampled(small.geometry)
        return cls(
            small,
            {name: there.mask(name) for name in labels.schema.structures},
            {
                name: np.sort(values, axis=None)
                for name, values in zip(small.channels, small.array, strict=True)
            },
        )


def fit_baselines(
    cases: Sequence[str],
    load: Callable[[str], tuple[Volume, LabelMap]],
    *,
    workers: int = 1,
    progress: Progress = silent,
) -> Baselines:
    """The classical methods with what works best on these training cases; a handful is enough.

    workers  structures that are fitted at a time, in threads
    """
    if not cases:
        raise DataError("baselines are fitted to training cases, got none")
    examples: list[Example] = []
    for done, case in enumerate(cases, 1):
        scan, labels = load(case)
        examples.append(Example.of(scan, labels))
        progress(done, len(cases), case)
    present = [name for name in labels.schema.structures if any(e.masks[name].any() for e in examples)]
    with ThreadPoolExecutor(workers) as pool:
        rules = tuple(pool.map(lambda structure: _fitted(structure, examples), present))
    return Baselines(labels=labels.schema, channels=scan.channels, cases=tuple(cases), rules=rules)


def segment_classically(scan: Volume, baselines: Baselines, method: Method) -> LabelMap:
    """The labels that one classical method finds in a scan, on the scan's grid."""
    if scan.channels != baselines.channels:
        raise DataError(
            f"these baselines read the channels {', '.join(baselines.channels)}; the scan has "
            f"{', '.join(scan.channels)}{scan.source.note}"
        )
    small = _small(scan)
    found = {rule.structure: found_by(method, small, rule) for rule in baselines.rules}
    labels = LabelMap(_painted(found, baselines, small.geometry), small.geometry, baselines.labels)
    return labels.resampled(scan.geometry)


def found_by(method: Method, scan: Volume, rule: StructureRule) -> Mask:
    """Where one method finds one structure, by its rule."""
    match method:
        case "threshold":
            mask = within(scan, rule.window)
        case "otsu":
            mask = otsu_class(scan, rule.otsu)
        case "region growing":
            mask = grown(scan, rule.window, rule.tolerance)
        case "watershed":
            mask = flooded(scan, rule.window, rule.depth)
    return _largest(mask) if rule.largest[method] else mask


def within(scan: Volume, window: Window) -> Mask:
    """The voxels whose value is in a window."""
    values = _channel(scan, window.channel)
    low, high = window.low, window.high
    if window.scale == "ranks":  # "lower" gives a value that is there, as `_ends` does
        low, high = (
            None if r is None else float(np.quantile(values, r, method="lower")) for r in (low, high)
        )
    result = np.ones(values.shape, bool)
    if low is not None:
        result &= values >= np.float64(low)  # a plain float would be rounded to the scan's precision
    if high is not None:
        result &= values < np.float64(high)
    return result


def otsu_class(scan: Volume, rule: OtsuClass) -> Mask:
    """The voxels of one of Otsu's classes; none where the scan has fewer values than classes."""
    values = _channel(scan, rule.channel)
    ends = _otsu_ends(values, rule.classes)
    if ends is None:
        return np.zeros(values.shape, bool)
    return np.asarray(np.digitize(values, ends) == rule.chosen)


def grown(scan: Volume, window: Window, tolerance: float) -> Mask:
    """The voxels connected to the deepest one of the window whose smoothed value is near that one's."""
    return Seed.of(scan, window).grown(tolerance)


def flooded(scan: Volume, window: Window, depth: float) -> Mask:
    """The watershed of the gradient between the depth of the window's largest part and all around it."""
    return Basin.of(scan, window).flooded(depth)


@dataclass(frozen=True, eq=False)
class Seed:
    """Where region growing starts: what all tolerances have in common.

    smooth  the values, with less noise
    at      the deepest voxel of the window, if that has any
    """

    smooth: Field
    at: tuple[int, ...] | None

    @classmethod
    def of(cls, scan: Volume, window: Window) -> Seed:
        """The seed of a window."""
        return cls(_smooth(_channel(scan, window.channel)), _deepest(within(scan, window), scan.geometry))

    def grown(self, tolerance: float) -> Mask:
        """The flood as far as values are near, in standard deviations of the scan."""
        if self.at is None:
            return np.zeros(self.smooth.shape, bool)
        near = tolerance * float(self.smooth.std())
        return np.asarray(flood(self.smooth, self.at, connectivity=1, tolerance=near))  # type: ignore[no-untyped-call]


@dataclass(frozen=True, eq=False)
class Basin:
    """What a watershed floods: what all depths have in common, in a box around the window's largest part.

    shape    of the whole scan
    box      None where the window is empty
    inside   for each voxel the distance in mm to the outside of the window
    outside  what surely lies outside
    slope    of the values
    """

    shape: tuple[int, ...]
    box: Box | None
    inside: Field
    outside: Mask
    slope: Field

    @classmethod
    def of(cls, scan: Volume, window: Window) -> Basin:
        """The basin of a window."""
        mask = _largest(within(scan, window))
        around = Box.around(mask)
        values = _channel(scan, window.channel)
        if around is None:
            return cls(mask.shape, None, values, mask, values)
        box = around.grown(MARGIN + 2).clipped(mask.shape)
        return cls(
            shape=mask.shape,
            box=box,
            inside=_depth(mask, scan.geometry)[box.slices],
            outside=~ndimage.binary_dilation(mask[box.slices], iterations=MARGIN),
            slope=ndimage.gaussian_gradient_magnitude(values[box.slices], 1.0),
        )

    def flooded(self, depth: float) -> Mask:
        """What the water reaches from the voxels that are so deep, as a share of the deepest one."""
        result = np.zeros(self.shape, bool)
        if self.box is not None:
            markers = self.outside.astype(np.int32)
            markers[self.inside >= depth * self.inside.max()] = 2
            result[self.box.slices] = watershed(self.slope, markers) == 2  # type: ignore[no-untyped-call]
        return result


# --- fitting


def _fitted(structure: str, examples: Sequence[Example]) -> StructureRule:
    """Each number in turn by its training Dice, the window first: the others start from it."""
    window = _best_window(structure, examples)
    scans = [example.scan for example in examples]
    seeds, basins = [Seed.of(scan, window) for scan in scans], [Basin.of(scan, window) for scan in scans]
    otsu = _best(
        structure,
        examples,
        _otsu_choices(scans[0].channels),
        lambda rule: [otsu_class(scan, rule) for scan in scans],
    )
    tolerance = _best(structure, examples, TOLERANCES, lambda near: [seed.grown(near) for seed in seeds])
    depth = _best(structure, examples, DEPTHS, lambda deep: [basin.flooded(deep) for basin in basins])
    rule = StructureRule(
        structure=structure,
        window=window,
        otsu=otsu,
        tolerance=tolerance,
        depth=depth,
        largest=dict.fromkeys(METHODS, False),
        dice=dict.fromkeys(METHODS, 0.0),
        voxels=float(np.mean([example.masks[structure].sum() for example in examples])),
    )
    return _with_components(rule, examples)


def _with_components(rule: StructureRule, examples: Sequence[Example]) -> StructureRule:
    """The rule with, for each method, the largest component kept where that is better."""
    largest: dict[Method, bool] = {}
    dice: dict[Method, float] = {}
    for method in METHODS:
        masks = [found_by(method, example.scan, rule) for example in examples]
        whole = _mean_dice(rule.structure, examples, masks)
        part = _mean_dice(rule.structure, examples, [_largest(mask) for mask in masks])
        largest[method], dice[method] = part > whole, max(part, whole)
    return rule.but(largest=largest, dice=dice)


def _best(
    structure: str,
    examples: Sequence[Example],
    choices: Sequence[Choice],
    find: Callable[[Choice], Sequence[Mask]],
) -> Choice:
    """The choice whose masks, one for each example, have the best mean Dice; the first of equals."""
    return max(choices, key=lambda choice: _mean_dice(structure, examples, find(choice)))


def _mean_dice(structure: str, examples: Sequence[Example], masks: Sequence[Mask]) -> float:
    """Over the examples that have the structure or in which it was found; 0 without any."""
    found = [
        Confusion.of(example.masks[structure], mask).dice()
        for example, mask in zip(examples, masks, strict=True)
    ]
    there = [dice for dice in found if dice is not None]
    return sum(there) / len(there) if there else 0.0


def _best_window(structure: str, examples: Sequence[Example]) -> Window:
    """The window with the best mean Dice: of all channels, both scales and all pairs of ends."""
    there = [example for example in examples if example.masks[structure].any()]
    found: list[tuple[float, Window]] = []
    for number, channel in enumerate(examples[0].scan.channels):
        values = [example.scan.array[number] for example in there]
        masks = [example.masks[structure] for example in there]
        ordered = [example.ordered[channel] for example in there]
        for scale in SCALES:
            ends = _ends(values, masks, ordered, scale)
            low, high, dice = best_pair(values, masks, [_as_values(ends, o, scale) for o in ordered])
            window = Window(
                channel=channel,
                scale=scale,
                low=None if low is None else float(ends[low]),
                high=None if high is None else float(ends[high]),
            )
            found.append((dice, window))
    return max(found, key=lambda pair: pair[0])[1]


def best_pair(
    values: Sequence[Field], masks: Sequence[Mask], ends: Sequence[Field]
) -> tuple[int | None, int | None, float]:
    """Which two ends, by number, enclose the window with the best mean Dice, and that Dice.

    ends   of each example, in ascending order; None stands for an open end
    All pairs are tried at once: Dice needs only how many voxels, in all and of the mask, lie below each.
    """
    bins = [np.searchsorted(e, v, side="right") for v, e in zip(values, ends, strict=True)]
    count = len(ends[0]) + 1
    total = np.stack([_below(b, count) for b in bins])  # (example, end)
    inside = np.stack([_below(b[m], count) for b, m in zip(bins, masks, strict=True)])
    shared = inside[:, None, :] - inside[:, :, None]  # (example, low, high)
    found = total[:, None, :] - total[:, :, None]
    dice = (2 * shared / (found + inside[:, -1, None, None]).clip(1)).mean(axis=0)
    low, high = np.unravel_index(np.triu(dice, 1).argmax(), dice.shape)
    return (
        int(low) - 1 if low > 0 else None,
        int(high) - 1 if high < count else None,
        float(dice[low, high]),
    )


def _below(bins: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.float64]:
    """How many lie below each end, the two open ones included: (count + 1,)."""
    return np.concatenate([[0.0], np.bincount(bins.ravel(), minlength=count).cumsum()])


def _ends(
    values: Sequence[Field], masks: Sequence[Mask], ordered: Sequence[Field], scale: Scale
) -> npt.NDArray[np.float64]:
    """Candidate ends, close together where the structure's own values are."""
    own = [v[m] for v, m in zip(values, masks, strict=True)]
    if scale == "ranks":
        own = [np.searchsorted(o, v) / (o.size - 1) for v, o in zip(own, ordered, strict=True)]
    pooled = np.concatenate(own)
    beyond = np.nextafter(float(pooled.max()), np.inf)  # an upper end excludes itself
    if scale == "ranks":
        beyond = min(1.0, float(pooled.max()) + 1 / min(o.size for o in ordered))
    return np.append(np.unique(np.quantile(pooled, np.linspace(0, 1, BINS - 2))), beyond)


def _as_values(ends: npt.NDArray[np.float64], ordered: Field, scale: Scale) -> Field:
    """Ends on the scale of one scan's values."""
    if scale == "values":
        return ends
    return np.asarray(ordered[np.floor(ends * (ordered.size - 1)).astype(int)])


def _otsu_choices(channels: tuple[str, ...]) -> tuple[OtsuClass, ...]:
    counts: tuple[Literal[2, 3], ...] = (2, 3)
    return tuple(
        OtsuClass(channel=channel, classes=classes, chosen=chosen)
        for channel in channels
        for classes in counts
        for chosen in range(classes)
    )


# --- parts


def _small(scan: Volume) -> Volume:
    """The scan with at most about `VOXELS` voxels: its finest axes made coarser."""
    grid = scan.geometry
    extent = np.array(grid.shape) * grid.spacing
    finest = min(grid.spacing)
    spacing = np.array(grid.spacing)
    while np.prod(np.maximum(1, extent / spacing)) > VOXELS:
        finest *= 1.05
        spacing = np.maximum(grid.spacing, finest)
    if finest == min(grid.spacing):
        return scan
    return scan.resampled(grid.respaced(triple(float(s) for s in spacing)), order=1)


def _channel(scan: Volume, name: str) -> Field:
    return np.asarray(scan.array[scan.channels.index(name)], np.float32)


def _smooth(values: Field) -> Field:
    """Less noise, so that a flood does not leak or leave holes: a Gaussian of one voxel."""
    return np.asarray(ndimage.gaussian_filter(values, 1.0))


def _otsu_ends(values: Field, classes: int) -> Field | None:
    if len(np.unique(values)) < classes:
        return None
    return np.asarray(threshold_multiotsu(values, classes=classes))  # type: ignore[no-untyped-call]


def _depth(mask: Mask, grid: Geometry) -> Field:
    """For each voxel of a mask, the distance in mm to the outside."""
    return np.asarray(edt.edt(np.ascontiguousarray(mask), anisotropy=grid.spacing))


def _deepest(mask: Mask, grid: Geometry) -> tuple[int, ...] | None:
    if not mask.any():
        return None
    depth = _depth(mask, grid)
    return tuple(int(n) for n in np.unravel_index(depth.argmax(), depth.shape))


def _largest(mask: Mask) -> Mask:
    """The largest component, counting corners as touching."""
    return np.asarray(cc3d.largest_k(mask, k=1, connectivity=26) > 0) if mask.any() else mask


def _painted(found: dict[str, Mask], baselines: Baselines, grid: Geometry) -> npt.NDArray[np.integer[Any]]:
    """Label values: regions in the order of the schema, labels from the largest to the smallest."""
    schema = baselines.labels
    empty = np.zeros(grid.shape, bool)
    if schema.regions:
        return schema.decode(np.stack([found.get(region.name, empty) for region in schema.regions]))
    values = {label.name: label.value for label in schema.labels}
    result = np.zeros(grid.shape, np.uint8 if max(schema.values) < 256 else np.uint16)
    for rule in sorted(baselines.rules, key=lambda rule: -rule.voxels):
        result[found[rule.structure]] = values[rule.structure]
    return result
