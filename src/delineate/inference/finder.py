"""Finder: a model that finds single objects, at work. A picture goes in, every object comes out.

The picture is prepared exactly as the training cases were. Windows of the size of a patch slide over it; what
they see is joined to objects (`pieces`), and the voxels of each are brought onto the picture's own grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import nn

from delineate.errors import ModelError
from delineate.evaluation.objects.instance_map import InstanceMap
from delineate.inference.pieces import Piece, Rectangle, agreed, common, joined, painted, pieces
from delineate.inference.segmenter import check_channels, predicting
from delineate.inference.source import Source
from delineate.inference.windows import steps
from delineate.networks.mask_rcnn import Found
from delineate.networks.model import Model, load_network
from delineate.networks.precision import Precision, autocast_type, device_of
from delineate.planning.plan import Plan
from delineate.preparation.prepared import prepare_scan
from delineate.progress import Progress, silent
from delineate.record import Record
from delineate.space import Geometry, Shape, Volume, resample_labels, triple

SURE = 0.5  # score from which an object is shown; where it is as likely there as not


class FoundObject(Record):
    """One object.

    box    first and stop voxel along i and j
    area   of its voxels, mm²
    center its centre of mass in voxels (i, j)
    """

    id: int
    kind: str
    score: float
    box: tuple[int, int, int, int]
    voxels: int
    area: float
    center: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Finder:
    """A plan and its trained networks, which find objects together.

    networks   one per fold, on `device`; an object's score is the mean of theirs
    step       longest step between windows, as a share of the patch
    sure       score from which something counts as an object
    precision  what convolutions compute in; "auto" is bf16 where the device multiplies it
    batch      windows predicted at once
    """

    plan: Plan
    networks: Sequence[nn.Module]
    device: str = "cpu"
    step: float = 0.5
    sure: float = SURE
    precision: Precision = "auto"
    batch: int = 4

    def __post_init__(self) -> None:
        if not self.plan.finds_objects:
            kind = self.plan.configuration().network.kind
            raise ModelError(
                f"this model gives a label for each voxel ({kind}), and no single objects: use Segmenter, "
                "and take connected pieces for objects."
            )

    @classmethod
    def of(cls, plan: Plan, weights: Sequence[Path], *, device: str = "cpu", sure: float = SURE) -> Self:
        """The finder of networks that were just trained, by the files of their weights."""
        networks = [load_network(plan, plan.first, file, device=device) for file in weights]
        return cls(plan, networks, device=device, sure=sure)

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        device: str = "cpu",
        step: float = 0.5,
        sure: float = SURE,
        precision: Precision = "auto",
    ) -> Self:
        """The finder in a model folder, which is verified first; loading runs no code."""
        model = Model.open(folder)
        networks = model.networks(device)[model.plan.first]
        return cls(model.plan, networks, device=device, step=step, sure=sure, precision=precision)

    def find(self, scan: Volume, *, progress: Progress = silent) -> InstanceMap:
        """The objects on the picture's own grid, with kinds and scores; id 1 is the surest.

        Raises:
            ModelError: the picture has other channels than the model reads, or in another order.
        """
        check_channels(scan, self.plan)
        configuration = self.plan.configuration()
        prepared = prepare_scan(scan, self.plan, configuration)
        source = Source.of(prepared.array, None, 0, configuration.patch)
        with predicting(self.networks):
            several = [self._joined(network, source, progress) for network in self.networks]
        objects = [piece for piece in agreed(several) if piece.score >= self.sure]
        across = configuration.slice_axis or 0
        inner = triple(n for n in prepared.geometry.shape)
        flat, kept = painted(objects, tuple(n for axis, n in enumerate(inner) if axis != across))  # type: ignore[arg-type]
        ids = np.expand_dims(flat, across)
        ids = resample_labels(ids, prepared.geometry, prepared.cropped, order=0)
        ids = resample_labels(ids, prepared.cropped, scan.geometry, order=0)
        return self._mapped(ids.astype(np.int32), scan.geometry, kept)

    def _mapped(self, ids: npt.NDArray[np.int32], grid: Geometry, kept: Sequence[Piece]) -> InstanceMap:
        """The objects that the scan's grid still shows."""
        there = np.unique(ids[ids > 0]).tolist()
        names = [label.name for label in self.plan.labels.labels]
        return InstanceMap(
            ids,
            grid,
            kinds={n: names[kept[n - 1].kind - 1] for n in there} if len(names) > 1 else {},
            scores={n: round(kept[n - 1].score, 4) for n in there},
        )

    def _joined(self, network: nn.Module, source: Source, progress: Progress) -> list[Piece]:
        """The objects that one network finds."""
        patch, across = self.plan.configuration().patch, self.plan.configuration().slice_axis or 0
        starts = [steps(size, edge, self.step) for size, edge in zip(source.padded, patch, strict=True)]
        corners = [triple(corner) for corner in product(*starts)]
        windows = [
            _rectangle(triple(a - b for a, b in zip(corner, source.before, strict=True)), patch, across)
            for corner in corners
        ]
        image = _rectangle((0, 0, 0), source.shape, across)
        found = self._found(network, source, corners, progress)
        every = (
            piece
            for one, window in zip(found, windows, strict=True)
            for piece in _clipped(pieces(one, window, image), image)
        )
        return joined(every, windows, image)

    def _found(
        self, network: nn.Module, source: Source, corners: Sequence[Shape], progress: Progress
    ) -> Iterator[Found]:
        """What the network sees in each window."""
        patch, across = self.plan.configuration().patch, self.plan.configuration().slice_axis or 0
        device = device_of(self.device)
        kind = autocast_type(self.precision, device)
        for first in range(0, len(corners), self.batch):
            some = corners[first : first + self.batch]
            windows = torch.stack([source.window(corner, patch).squeeze(across - 3) for corner in some])
            with torch.autocast(device.type, dtype=kind, enabled=kind is not None):
                found = network(windows.to(device))
            yield from found
            progress(min(first + self.batch, len(corners)), len(corners), "windows")


def object_table(objects: InstanceMap, kind: str) -> tuple[FoundObject, ...]:
    """The objects of a map as a table, in the order of their ids; `kind` where the map names none."""
    axes = [axis for axis, n in enumerate(objects.array.shape) if n > 1][:2]
    axes = axes if len(axes) == 2 else [0, 1]
    flat = objects.array.max(axis=({0, 1, 2} - set(axes)).pop())
    area = float(np.prod([objects.geometry.spacing[axis] for axis in axes]))
    rows = []
    for number, box in enumerate(ndimage.find_objects(flat), 1):
        if box is None:
            continue
        inside = flat[box] == number
        middle = [float(n.mean()) + side.start for n, side in zip(np.nonzero(inside), box, strict=True)]
        rows.append(
            FoundObject(
                id=number,
                kind=objects.kinds.get(number, kind),
                score=1.0 if objects.scores is None else objects.scores[number],
                box=(box[0].start, box[1].start, box[0].stop, box[1].stop),
                voxels=int(inside.sum()),
                area=round(float(inside.sum()) * area, 4),
                center=(round(middle[0], 2), round(middle[1], 2)),
            )
        )
    return tuple(rows)


def _rectangle(start: Shape, edges: Shape, across: int) -> Rectangle:
    """A box in the plane, without the axis across it."""
    first = [n for axis, n in enumerate(start) if axis != across]
    size = [n for axis, n in enumerate(edges) if axis != across]
    return first[0], first[1], first[0] + size[0], first[1] + size[1]


def _clipped(every: Iterator[Piece], image: Rectangle) -> Iterator[Piece]:
    """Pieces cut to the image: padding holds nothing."""
    for piece in every:
        box = common(piece.box, image)
        if box is None:
            continue
        mask = piece.within(box)
        if mask.any():
            yield Piece((box[0], box[1]), mask, piece.kind, piece.score, piece.window, piece.is_cut)
