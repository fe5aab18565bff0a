"""Memory: what inference takes beyond the program and its weights, and how it keeps within a bound.

All of it follows from shapes, so it is known before the work begins. Two things can give way, and neither
changes a single label: fewer windows are predicted at once, and sums go into a file. What is left is the
smallest bound that works.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from delineate.errors import PlanError
from delineate.inference.layout import Layout, best_axis
from delineate.inference.verdict import PART
from delineate.space import Shape

GB = 1e9
FLOAT = 4  # bytes
SPARE = 1.15  # what an allocator keeps between blocks that are in use; measured, see docs/explanations/memory
PLANES = 4  # of the two grids that are in memory while one is read from another
PREPARING = 4  # arrays of a scan's size while it is turned, normalised and resampled, besides the scan
FINISHING = 4  # arrays of labels while they are put on the scan and cleaned up
ALWAYS = 50_000_000  # bytes: buffers of libraries, threads, small things


@dataclass(frozen=True)
class Load:
    """What one configuration needs.

    layout   of its windows, with as many at once as fill the device
    classes  logits for each voxel in the end
    least    windows that must be predicted at once
    window   bytes of a network at work on one window
    fixed    bytes that a network needs besides, however many windows
    """

    name: str
    layout: Layout
    classes: int
    least: int
    window: int
    fixed: int

    def batches(self) -> Iterator[int]:
        """How many windows may be predicted at once, the most first."""
        batch = self.layout.batch
        while batch > self.least:
            yield batch
            batch = max(self.least, batch // 2)
        yield self.least


@dataclass(frozen=True)
class Work:
    """A scan and what is wanted of it.

    scan      voxels of the scan along (i, j, k), turned and cropped
    channels  of the scan
    onto      voxels of the grid that labels are wanted on
    given     bytes of the scan as it was given, which is there while it is prepared
    held      bytes of arrays that are there all the time: the scan, where it is not forgotten
    keep      whether probabilities are kept
    exclusive whether the best class wins, by its logit alone
    """

    scan: Shape
    channels: int
    onto: Shape
    given: int = 0
    held: int = 0
    keep: bool = False
    exclusive: bool = True


@dataclass(frozen=True)
class MemoryPlan:
    """How a scan is segmented within a bound.

    axis     across which rows of windows run
    batches  per configuration how many windows are predicted at once
    on_disk  whether sums are kept in a file
    shares   what needs how many bytes while windows are predicted
    before   bytes needed before that, to prepare the scan
    after    bytes needed afterwards, to finish the labels
    file     bytes of the file
    """

    axis: int
    batches: Mapping[str, int]
    on_disk: bool
    shares: Mapping[str, int]
    before: int
    after: int
    file: int

    @property
    def most(self) -> int:
        """Bytes at the worst moment."""
        return max(sum(self.shares.values()), self.before, self.after)

    def __str__(self) -> str:
        shares = ", ".join(f"{what} {size / GB:.2f}" for what, size in self.shares.items())
        many = ", ".join(str(batch) for batch in self.batches.values())
        disk = f" ({self.file / GB:.2f} GB of sums in a file)" if self.on_disk else ""
        return (
            f"{self.most / GB:.2f} GB: {shares}{disk}; preparing {self.before / GB:.2f}, finishing "
            f"{self.after / GB:.2f}; rows across {'ijk'[self.axis]}, {many} windows at once"
        )


def fitted(work: Work, loads: Sequence[Load], *, bound_gb: float, disk: bool) -> MemoryPlan:
    """The fastest way that stays within the bound.

    disk  whether sums may go into a file

    Raises:
        PlanError: no way does; the message names the smallest bound that works.
    """
    ways = list(_ways(work, loads, disk=disk))
    fast = next((way for way in ways if way.most <= bound_gb * GB), None)
    if fast is not None:
        return fast
    least = min(ways, key=lambda way: way.most)
    file = "" if disk else " Give a folder for a file of sums as well: then less is needed."
    raise PlanError(
        f"segmenting {' x '.join(map(str, work.scan))} voxels within {bound_gb:g} GB is not possible; the "
        f"smallest bound that works is {_rounded_up(least.most)} GB, besides the program and its weights. "
        f"It takes {least}.{file}"
    )


def _ways(work: Work, loads: Sequence[Load], *, disk: bool) -> Iterator[MemoryPlan]:
    axis = best_axis([load.layout for load in loads], work.onto)
    for on_disk in (False, True)[: 1 + disk]:
        choices = [list(load.batches()) for load in loads]
        for level in range(max(map(len, choices))):
            batches = [batches[min(level, len(batches) - 1)] for batches in choices]
            yield _way(work, loads, batches, axis, on_disk=on_disk)


def _way(
    work: Work, loads: Sequence[Load], batches: Sequence[int], axis: int, *, on_disk: bool
) -> MemoryPlan:
    sums = [FLOAT * load.layout.sums(axis) for load in loads]
    grids = sum(work.channels * prod(load.layout.padded) for load in loads)
    networks = max(load.fixed + n * load.window for load, n in zip(loads, batches, strict=True))
    labels = (1 if max(load.classes for load in loads) < 256 else 2) * prod(work.onto)
    kept = FLOAT * loads[0].classes * prod(work.onto) if work.keep else 0
    in_memory = max(_touched(load, axis) for load in loads) if on_disk else sum(sums)
    shares = {
        "network": int(SPARE * networks),
        "sums": in_memory,
        "planes": sum(_planes(work, load, axis, alone=len(loads) == 1) for load in loads),
        "scan": work.held + FLOAT * grids,
        "labels": labels + kept,
        "program": ALWAYS,
    }
    return MemoryPlan(
        axis=axis,
        batches={load.name: batch for load, batch in zip(loads, batches, strict=True)},
        on_disk=on_disk,
        shares=shares,
        before=max(work.given, work.held) + preparing(work.scan, work.channels) + FLOAT * grids + ALWAYS,
        after=work.held + FLOAT * grids + FINISHING * labels + 2 * kept + ALWAYS,
        file=sum(sums) if on_disk else 0,
    )


def preparing(scan: Shape, channels: int) -> int:
    """Bytes of a scan's size that are needed while it is turned, normalised and resampled."""
    return PREPARING * FLOAT * channels * prod(scan)


def _touched(load: Load, axis: int) -> int:
    """Bytes of the file that are in memory at once: a class of a window, or a plane of all classes."""
    layout = load.layout
    across = prod(layout.padded) // layout.padded[axis]
    weights = layout.sums(axis) // layout.outputs  # one number for each place
    return FLOAT * (max(layout.patch[axis] * across, layout.plane(axis)) + weights)


def _planes(work: Work, load: Load, axis: int, *, alone: bool) -> int:
    onto = prod(work.onto) // work.onto[axis]
    read = PLANES * max(load.layout.plane(axis), load.layout.outputs * onto)
    at_once = (
        min(load.classes * onto, max(PART, onto))
        if alone and work.exclusive and not work.keep
        else (PLANES * load.classes * onto)
    )
    return FLOAT * (read + PLANES * at_once)


def _rounded_up(size: int) -> str:
    return f"{-(-size // 10**7) / 100:.2f}"
