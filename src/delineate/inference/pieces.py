"""Pieces: what is seen of objects in single windows, and how pieces of one object are joined.

Windows overlap. An object that a window sees whole is taken from that window; what other windows see of it is
dropped. Of an object that no window sees whole the pieces are put together. Two pieces are of one object if,
where both windows look, they are the same. A piece that ends with its window, and that another window which
sees what lies behind does not see at all, is no object: it is half of one, or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from delineate.networks.mask_rcnn import Found

Mask = npt.NDArray[np.bool_]
Rectangle = tuple[int, int, int, int]  # first i, first j, stop i, stop j

SAME = 0.5  # IoU, where both windows look, above which two pieces are of one object
LEFT = 0.5  # share of an object that must be left when surer ones have taken their voxels
NEAR = 2  # voxels: an object that ends so near to where a window ends may go on behind it
BEHIND = 4  # voxels behind its end that a window has to see to have a say
CELL = 64  # voxels: pieces are looked up by the cells of a lattice that they lie in


@dataclass(frozen=True, eq=False)
class Piece:
    """Part of one object, or all of it.

    corner   first voxel (i, j) of its mask
    mask     (i, j) which voxels are of it, cut to its box
    kind     label index, from 1
    score    how sure it is
    window   where it was seen
    is_cut   whether it may go on where the window ended
    """

    corner: tuple[int, int]
    mask: Mask
    kind: int
    score: float
    window: Rectangle
    is_cut: bool

    @property
    def box(self) -> Rectangle:
        """Where its mask lies."""
        (i, j), (height, width) = self.corner, self.mask.shape
        return i, j, i + height, j + width

    def within(self, box: Rectangle) -> Mask:
        """Its mask in a box, which may reach beyond its own."""
        result = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
        shared = common(self.box, box)
        if shared is not None:
            result[_in(shared, box)] = self.mask[_in(shared, self.box)]
        return result


def pieces(found: Found, window: Rectangle, image: Rectangle) -> Iterator[Piece]:
    """The objects of one window, each cut to its voxels; those that hold none are left out.

    found   in voxels of the window
    image   all that there is: where the window ends with it, nothing is cut
    """
    edges = (window[2] - window[0], window[3] - window[1])
    rows = zip(*(part.tolist() for part in (found.scores, found.kinds)), strict=True)
    for (score, kind), box, mask in zip(
        rows, found.boxes.float().cpu(), found.masks.float().cpu(), strict=True
    ):
        corner, voxels = pasted(mask, box, edges)
        inside = _trimmed(corner, voxels)
        if inside is None:
            continue
        (i, j), voxels = inside
        piece = Piece((window[0] + i, window[1] + j), voxels, int(kind), float(score), window, is_cut=False)
        yield replace(piece, is_cut=_ends_with(piece.box, window, image))


def pasted(mask: Tensor, box: Tensor, edges: tuple[int, int]) -> tuple[tuple[int, int], Mask]:
    """The first voxel of a box, and which voxels in it are object: the probability at their middle is half.

    mask   (cells, cells) probabilities over the box
    box    (4,) in an image with these edges
    """
    first = box[:2].floor().long().clamp(min=0)
    stop = torch.minimum(box[2:].ceil().long(), torch.tensor(edges))
    height, width = (int(n) for n in (stop - first).clamp(min=0))
    corner = (int(first[0]), int(first[1]))
    if not height or not width:
        return corner, np.zeros((0, 0), bool)
    sizes = (box[2:] - box[:2]).clamp(min=1e-3)
    lines = [
        ((torch.arange(n) + first[axis] + 0.5) - box[axis]) / sizes[axis] * 2 - 1
        for axis, n in enumerate((height, width))
    ]
    i, j = torch.meshgrid(*lines, indexing="ij")
    grid = torch.stack([j, i], dim=-1)[None]
    read = functional.grid_sample(mask[None, None], grid, padding_mode="border", align_corners=False)
    return corner, (read[0, 0] >= 0.5).numpy()


def joined(every: Iterable[Piece], windows: Sequence[Rectangle], image: Rectangle) -> list[Piece]:
    """One piece for each object, from those of all `windows` of an image."""
    whole = sorted(every, key=lambda piece: (piece.is_cut, -piece.score))
    lattice, groups = _Lattice(), list[_Group]()
    for piece in whole:
        mine = next((n for n in lattice.near(piece) if groups[n].holds(piece)), None)
        if mine is None:
            lattice.add(len(groups), piece)
            groups.append(_Group([piece]))
        elif groups[mine].is_cut:
            lattice.add(mine, piece)
            groups[mine].members.append(piece)
    places = np.array(windows).reshape(-1, 4)
    return [group.object for group in groups if not group.is_denied(places, image)]


def agreed(several: Sequence[Sequence[Piece]]) -> list[Piece]:
    """The objects that several networks found: as the surest saw them, with the mean of their scores.

    A network that did not find an object gives it a score of 0.
    """
    if len(several) == 1:
        return list(several[0])
    lattice, groups = _Lattice(), list[_Group]()
    tagged = sorted(
        ((piece, n) for n, some in enumerate(several) for piece in some), key=lambda pair: -pair[0].score
    )
    voters: list[set[int]] = []
    for piece, network in tagged:
        near = (n for n in lattice.near(piece) if network not in voters[n] and groups[n].holds(piece))
        mine = next(near, None)
        if mine is None:
            lattice.add(len(groups), piece)
            groups.append(_Group([piece]))
            voters.append({network})
        else:
            groups[mine].members.append(piece)
            voters[mine].add(network)
    return [
        replace(group.members[0], score=sum(piece.score for piece in group.members) / len(several))
        for group in groups
    ]


def painted(objects: Iterable[Piece], shape: tuple[int, int]) -> tuple[npt.NDArray[np.int32], list[Piece]]:
    """Ids (i, j), 1 for the surest object, and the objects in this order.

    A voxel is of the surest object that covers it; what is left less than half is no object of its own.
    """
    ids = np.zeros(shape, np.int32)
    kept: list[Piece] = []
    for piece in sorted(objects, key=lambda piece: -piece.score):
        here = ids[piece.box[0] : piece.box[2], piece.box[1] : piece.box[3]]
        free = piece.mask & (here == 0)
        if free.sum() >= LEFT * piece.mask.sum() > 0:
            kept.append(piece)
            here[free] = len(kept)
    return ids, kept


def common(a: Rectangle, b: Rectangle) -> Rectangle | None:
    """What two rectangles share, or None."""
    first, stop = (max(a[0], b[0]), max(a[1], b[1])), (min(a[2], b[2]), min(a[3], b[3]))
    return (*first, *stop) if first[0] < stop[0] and first[1] < stop[1] else None


@dataclass
class _Group:
    """The pieces of one object, the best first."""

    members: list[Piece] = field(default_factory=list)

    @property
    def is_cut(self) -> bool:
        return self.members[0].is_cut

    def is_denied(self, windows: npt.NDArray[np.int64], image: Rectangle) -> bool:
        """Whether it is a single piece that a window (n, 4) with a wider view does not see."""
        if len(self.members) > 1 or not self.is_cut:
            return False
        box = np.array(self.members[0].box)
        first = np.maximum(box[:2] - BEHIND, image[:2])
        stop = np.minimum(box[2:] + BEHIND, image[2:])
        return bool(((windows[:, :2] <= first) & (windows[:, 2:] >= stop)).all(axis=1).any())

    def holds(self, piece: Piece) -> bool:
        """Whether a piece is of this object."""
        return any(_same(member, piece) for member in self.members)

    @property
    def object(self) -> Piece:
        """All pieces in one."""
        if len(self.members) == 1:
            return self.members[0]
        boxes = np.array([piece.box for piece in self.members])
        first, stop = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        box: Rectangle = (int(first[0]), int(first[1]), int(stop[0]), int(stop[1]))
        mask = np.logical_or.reduce([piece.within(box) for piece in self.members])
        return replace(self.members[0], corner=(box[0], box[1]), mask=mask)


class _Lattice:
    """Which groups have pieces in which cell."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], list[int]] = {}

    def near(self, piece: Piece) -> list[int]:
        """Groups with pieces in the cells of this one, the first that came first."""
        return sorted({n for cell in _cells(piece.box) for n in self._cells.get(cell, ())})

    def add(self, group: int, piece: Piece) -> None:
        for cell in _cells(piece.box):
            self._cells.setdefault(cell, []).append(group)


def _cells(box: Rectangle) -> Iterator[tuple[int, int]]:
    for i in range(box[0] // CELL, (box[2] - 1) // CELL + 1):
        for j in range(box[1] // CELL, (box[3] - 1) // CELL + 1):
            yield i, j


def _same(a: Piece, b: Piece) -> bool:
    """Whether two pieces are the same where both windows look."""
    shared = common(a.window, b.window)
    if a.kind != b.kind or shared is None or common(a.box, b.box) is None:
        return False
    box = common(_around(a.box, b.box), shared)
    if box is None:
        return False
    here, there = a.within(box), b.within(box)
    whole = (here | there).sum()
    return bool(whole) and bool((here & there).sum() > SAME * whole)


def _around(a: Rectangle, b: Rectangle) -> Rectangle:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _ends_with(box: Rectangle, window: Rectangle, image: Rectangle) -> bool:
    """Whether a box ends where its window does, and the image goes on there."""
    low = any(window[n] > image[n] and box[n] - window[n] < NEAR for n in (0, 1))
    return low or any(window[n] < image[n] and window[n] - box[n] < NEAR for n in (2, 3))


def _trimmed(corner: tuple[int, int], mask: Mask) -> tuple[tuple[int, int], Mask] | None:
    """Cut to the voxels that are set, or None where none is."""
    if not mask.any():
        return None
    i, j = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    inner = mask[i[0] : i[-1] + 1, j[0] : j[-1] + 1]
    return (corner[0] + int(i[0]), corner[1] + int(j[0])), inner


def _in(box: Rectangle, outer: Rectangle) -> tuple[slice, slice]:
    """Where a box is within an outer one."""
    return slice(box[0] - outer[0], box[2] - outer[0]), slice(box[1] - outer[1], box[3] - outer[1])
