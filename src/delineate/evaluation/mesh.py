"""Mesh: how far the surfaces of two masks are apart when each is a mesh.

The mesh of a mask is the one of marching cubes halfway between voxels that are in and voxels that are out:
triangles in a volume, pieces of contour in a picture. Beyond the grid is outside, so every mesh is closed.
From the centroid of each element the distance is to the nearest point of the other mesh, wherever on an
element it lies, not only to its corners; an element weighs its area (in a picture its length). This is the
definition of MeshMetrics.

Distances are exact, and between points in the patient. Elements that two meshes share are not searched for.

Sources: Lorensen and Cline 1987, doi:10.1145/37401.37422; Podobnik and Vrtovec 2025, arXiv:2509.05670;
Ericson 2004, Real-Time Collision Detection, section 5.1 (the nearest point of a triangle).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from delineate.evaluation.distances import Directed, Numbers, SurfaceDistances
from delineate.evaluation.nearest import Indices, Matrix, in_mm, steps_of
from delineate.evaluation.overlap import Mask
from delineate.evaluation.surface import Codes, cut_around, known_codes, on_surface
from delineate.space import Geometry, Shape, triple

Points = npt.NDArray[np.float64]  # (..., 3)
Pieces = npt.NDArray[np.float64]  # (piece, corner, 3): a triangle has three corners, a line two
Counts = npt.NDArray[np.int64]  # (code,)

SLENDER = 2.1  # pieces are cut until no edge is so many times the shortest: all are then near their centre
CUTS = 32  # of the longest edge, at most
FIRST = 4  # pieces looked at for every point, before it is asked which others may be nearer
AT_ONCE = 2**16  # pairs of a point and a piece
STEPS = 2000  # to cells that are looked into before a tree is built: those within seven voxels of cubes
EVERY = 16  # cells, before those that are done are left aside
CUBE = np.array(list(product((-1.0, 1.0), repeat=3)))


def mesh_distances(
    reference: Mask, prediction: Mask, grid: Geometry, known: Mask | None = None
) -> SurfaceDistances | None:
    """Distances between the meshes of two masks (i, j, k), or None if one is empty or has no outside.

    Around a voxel that is not `known`, a mesh is open.
    """
    cut = cut_around(reference, prediction, grid)
    if cut is None:
        return None
    codes = known_codes((reference[cut], prediction[cut]), None if known is None else known[cut])
    table = Table.on(grid, triple(codes[0].shape))
    meshes = [table.mesh(code) for code in codes]
    if not all(len(mesh.which) for mesh in meshes):
        return None
    return SurfaceDistances(
        Directed(_between(meshes[0], meshes[1]), meshes[0].sizes()),
        Directed(_between(meshes[1], meshes[0]), meshes[1].sizes()),
    )


@dataclass(frozen=True, eq=False)
class Table:
    """The pieces of every code on a grid, those of one code after those of the one before.

    shares  corners in the cell between voxel centres, from 0 to 1
    pieces  the same in mm
    first, counts  (code,) where those of each code begin, and how many there are
    shape   cells of the meshes
    """

    shares: Pieces
    pieces: Pieces
    first: Counts
    counts: Counts
    linear: Matrix
    shape: Shape

    @cached_property
    def outlines(self) -> Outlines:
        """Of the pieces."""
        return Outlines.of(self.pieces)

    @cached_property
    def centroids(self) -> tuple[Points, Indices]:
        """(place, 3) where in a cell centroids lie, from 0 to 1, and (piece,) which place is whose.

        There are few: corners lie on halves, so centroids on twelfths.
        """
        twelfths = np.round(12 * self.shares.mean(axis=1)).astype(int)
        places, which = np.unique(twelfths, axis=0, return_inverse=True)
        return places / 12, which.reshape(-1)

    @cached_property
    def steps(self) -> tuple[Indices, Numbers, Points]:
        """(step, 3) to the cells around and to itself, their lengths in mm, and `_least` of them."""
        steps, lengths = steps_of(self.shape, self.linear, STEPS)
        steps, lengths = np.insert(steps, 0, 0, axis=0), np.insert(lengths, 0, 0.0)
        return steps, lengths, _least(self, steps)

    @classmethod
    def on(cls, grid: Geometry, shape: Shape) -> Table:
        """The table for volumes; for a grid that is one voxel thick along an axis, of contours."""
        flat = [axis for axis, count in enumerate(grid.shape) if count == 1]
        shares, counts = _lines(flat[0]) if len(flat) == 1 else _triangles()
        linear = grid.affine[:3, :3]
        return cls(shares, _in_mm(shares, linear), np.cumsum(counts) - counts, counts, linear, shape)

    def of(self, codes: Codes | Indices) -> tuple[Indices, Indices]:
        """Of some cells (n,): which of them each piece belongs to, and which piece it is."""
        counts = self.counts[codes]
        owner = np.repeat(np.arange(len(codes)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return owner, self.first[codes][owner] + within

    def into(self, places: Indices, codes: Codes, step: Indices) -> Numbers:
        """From a centroid's place (n,) to the nearest piece of the cell one step on, by its code (n,).

        There are many cells and few kinds of them: each pair of place and code is worked out once.
        """
        centroids, _ = self.centroids
        kinds = places * len(self.counts) + codes
        is_there = np.zeros(len(centroids) * len(self.counts), bool)
        is_there[kinds] = True
        distinct = np.flatnonzero(is_there)
        place, code = np.divmod(distinct, len(self.counts))
        owner, others = self.of(code)
        points = _in_mm(centroids[place] - step, self.linear)
        heads = np.flatnonzero(np.diff(owner, prepend=-1))
        nearest = np.empty(len(is_there))
        nearest[distinct] = np.minimum.reduceat(self.outlines.distances(points[owner], others), heads)
        return np.asarray(nearest[kinds])

    def mesh(self, codes: Codes) -> Mesh:
        """The mesh of `corner_codes`."""
        cells = np.flatnonzero(on_surface(codes))
        owner, which = self.of(codes.reshape(-1)[cells])
        return Mesh(self, codes, cells[owner], which)


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh on a grid of cells.

    codes  (i, j, k), of every cell
    cells  (piece,) the flat index of its cell
    which  (piece,) its number in the table
    """

    table: Table
    codes: Codes
    cells: Indices
    which: Indices

    @property
    def places(self) -> Indices:
        """(3, piece) indices of the cells."""
        return np.stack(np.unravel_index(self.cells, self.codes.shape))

    def pieces(self) -> Pieces:
        """All pieces in mm."""
        start = in_mm(self.places, self.table.linear)
        return np.asarray(self.table.pieces[self.which] + start[:, None])

    def sizes(self) -> Numbers:
        """The area of each triangle, the length of each line."""
        along = self.table.pieces[:, 1:] - self.table.pieces[:, :1]
        if along.shape[1] == 1:
            return np.asarray(np.linalg.norm(along[:, 0], axis=1)[self.which])
        return np.asarray(np.linalg.norm(np.cross(along[:, 0], along[:, 1]), axis=1)[self.which] / 2)


def _between(mesh: Mesh, other: Mesh) -> Numbers:
    """For each piece of a mesh, the distance from its centroid to the other mesh."""
    found = np.zeros(len(mesh.which))
    apart = np.flatnonzero((mesh.codes != other.codes).reshape(-1)[mesh.cells])
    some = replace(mesh, cells=mesh.cells[apart], which=mesh.which[apart])
    distances, is_open = _searched(some, other)
    if is_open.any():
        far = some.pieces()[is_open].mean(axis=1)
        distances[is_open] = to_mesh(far, other.pieces())
    found[apart] = distances
    return found


def _searched(mesh: Mesh, other: Mesh) -> tuple[Numbers, Mask]:
    """The distances to what lies in the cells around, and which of them may not be the smallest.

    Cells are looked into from the nearest to the farthest, as far as they may hold something nearer.
    """
    table = mesh.table
    steps, lengths, nearest = table.steps
    later = np.minimum.accumulate(nearest[:, ::-1], axis=1)[:, ::-1]  # in any of the steps to come
    margin = np.abs(steps).max(axis=0)
    padded = np.pad(other.codes, [(int(m), int(m)) for m in margin])
    codes, shifts = padded.reshape(-1), steps @ np.array(padded.strides)
    around = np.ravel_multi_index(tuple(mesh.places + margin[:, None]), padded.shape)
    found, left = np.full(len(around), np.inf), np.arange(len(around))
    which = table.centroids[1][mesh.which]
    for number, shift in enumerate(shifts):
        if number % EVERY == 0:
            left = left[later[which[left], number] < found[left]]
            if not len(left):
                break
        there = codes[around[left] + shift]
        here = np.flatnonzero(table.counts[there])
        here = here[nearest[which[left[here]], number] < found[left[here]]]
        if len(here):
            into = table.into(which[left[here]], there[here], steps[number])
            found[left[here]] = np.minimum(found[left[here]], into)
    # Farther cells are farther than the last step, less what a cell extends.
    across = float(np.linalg.norm(_in_mm(CUBE, table.linear), axis=1).max())
    return found, found > lengths[-1] - across


def _least(table: Table, steps: Indices) -> npt.NDArray[np.float64]:
    """(place, step) what a centroid is at least away from all that the cell of a step may hold."""
    share = table.centroids[0][:, None]
    gaps = np.maximum(0, np.maximum(steps - share, share - steps - 1))
    gaps = gaps / np.linalg.norm(np.linalg.inv(table.linear), axis=1)  # between the planes of voxels
    turns = table.linear.T @ table.linear
    is_square = np.allclose(turns, np.diag(np.diag(turns)), atol=1e-9 * turns.max())
    least = np.linalg.norm(gaps, axis=2) if is_square else gaps.max(axis=2)
    return np.asarray(least * (1 - 1e-9))


def to_mesh(points: Points, pieces: Pieces) -> Numbers:
    """For each point (n, 3), the exact distance to the nearest point of a mesh."""
    small = _cut_up(pieces)
    centres = small.mean(axis=1)
    radii = np.linalg.norm(small - centres[:, None], axis=2).max(axis=1)
    tree, outlines = cKDTree(centres), Outlines.of(small)
    apart, which = tree.query(points, np.arange(1, min(FIRST, len(small)) + 1))
    first = outlines.distances(np.repeat(points, which.shape[1], axis=0), which.reshape(-1))
    found = first.reshape(which.shape).min(axis=1)
    # A piece is nearer than what was found only if its centre is not farther than that and its radius.
    open_still = np.flatnonzero(apart[:, -1] - radii.max() < found)
    around = found[open_still] + radii.max()
    counts = tree.query_ball_point(points[open_still], around, return_length=True)
    for some in np.split(np.arange(len(counts)), _breaks(counts)) if len(counts) else ():
        here = points[open_still[some]]
        near = np.concatenate(tree.query_ball_point(here, around[some]).tolist()).astype(np.intp)
        owner = np.repeat(np.arange(len(some)), counts[some])
        ahead = np.linalg.norm(here[owner] - centres[near], axis=1) - radii[near]
        there = ahead < found[open_still[some]][owner]
        nearer = outlines.distances(here[owner[there]], near[there])
        np.minimum.at(found, open_still[some][owner[there]], nearer)
    return np.asarray(found)


def _breaks(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Where a list is broken so that parts have about `AT_ONCE` in all."""
    return np.asarray(np.flatnonzero(np.diff(np.cumsum(counts) // AT_ONCE)) + 1)


def to_pieces(points: Points, pieces: Pieces) -> Numbers:
    """The distance of each point (n, 3) to its own piece (n, corner, 3)."""
    return Outlines.of(pieces).distances(points, np.arange(len(pieces)))


@dataclass(frozen=True, eq=False)
class Outlines:
    """What the distance of a point to a piece is worked out from.

    starts, edges  (piece, edge, 3) where each edge starts and where it leads
    scales         (piece, edge) one over its squared length
    normals        (piece, 3) of length 1; None for lines
    inwards        (piece, edge, 3) from the edge into the triangle
    """

    starts: Points
    edges: Points
    scales: Numbers
    normals: Points | None
    inwards: Points

    @classmethod
    def of(cls, pieces: Pieces) -> Outlines:
        """The outlines of triangles (piece, 3, 3) or lines (piece, 2, 3)."""
        edges = np.roll(pieces, -1, axis=1) - pieces
        if pieces.shape[1] == 2:
            pieces, edges = pieces[:, :1], edges[:, :1]
            return cls(pieces, edges, 1 / _dot(edges, edges), None, edges)
        normals = np.cross(edges[:, 0], edges[:, 1])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return cls(pieces, edges, 1 / _dot(edges, edges), normals, np.cross(normals[:, None], edges))

    def distances(self, points: Points, which: Indices) -> Numbers:
        """The distance of each point (n, 3) to one piece, by its number (n,)."""
        apart = points[:, None] - self.starts[which]  # (n, edge, 3)
        edges = self.edges[which]
        shares = np.clip(_dot(apart, edges) * self.scales[which], 0, 1)
        rest = apart - shares[..., None] * edges
        nearest = _dot(rest, rest).min(axis=1)
        if self.normals is None:
            return np.asarray(np.sqrt(nearest))
        above = (_dot(apart, self.inwards[which]) >= 0).all(axis=1)
        height = _dot(apart[:, 0], self.normals[which])
        return np.asarray(np.where(above, np.abs(height), np.sqrt(nearest)))


def _dot(a: Points, b: Points) -> Numbers:
    return np.asarray(np.einsum("...c,...c->...", a, b))


def _cut_up(pieces: Pieces) -> Pieces:
    """The same mesh of pieces that are not slender: on a grid of thick slices, triangles are."""
    edges = _edges(pieces)
    limit = max(SLENDER * edges.min(), edges.max() / CUTS)
    done = []
    while len(pieces):
        edges = _edges(pieces)
        rows, start = np.arange(len(pieces)), edges.argmax(axis=1)
        long = edges[rows, start] > limit
        done.append(pieces[~long])
        pieces, rows, start = pieces[long], rows[: np.count_nonzero(long)], start[long]
        stop = (start + 1) % pieces.shape[1]
        halves = pieces.copy(), pieces.copy()
        halves[0][rows, stop] = halves[1][rows, start] = (pieces[rows, start] + pieces[rows, stop]) / 2
        pieces = np.concatenate(halves)
    return np.concatenate(done)


def _edges(pieces: Pieces) -> Numbers:
    return np.asarray(np.linalg.norm(np.roll(pieces, -1, axis=1) - pieces, axis=2))


def _in_mm(shares: Pieces, linear: Matrix) -> Pieces:
    return in_mm(np.moveaxis(shares, -1, 0), linear)


@cache
def _triangles() -> tuple[Pieces, Counts]:
    """Lorensen's triangles in the cube between eight voxel centres."""
    from skimage.measure import marching_cubes

    found = []
    for code in range(1, 255):
        cube = np.array([code >> bit & 1 for bit in range(8)], dtype=float).reshape(2, 2, 2)
        # Turned to k, j, i, so that ambiguous cubes are cut as by VTK and so by MeshMetrics.
        vertices, faces, _, _ = marching_cubes(cube.T, 0.5, method="lorensen")  # type: ignore[no-untyped-call]
        found.append(vertices[faces][..., ::-1].astype(float))
    return np.concatenate(found), np.array([0, *map(len, found), 0])


@cache
def _lines(flat: int) -> tuple[Pieces, Counts]:
    """Pieces of contour in the square between four pixel centres; `flat` is the axis across them."""
    found = [np.array(list(_contour(code, flat))).reshape(-1, 2, 3) for code in range(256)]
    return np.concatenate(found), np.array([len(lines) for lines in found])


def _contour(code: int, flat: int) -> Iterator[tuple[Points, Points]]:
    """From one cut edge of the square to another; where corners in lie across, each is cut off."""
    one, other = (axis for axis in range(3) if axis != flat)
    bits = np.array([code >> bit & 1 for bit in range(8)], dtype=bool).reshape(2, 2, 2)
    square = np.moveaxis(bits, flat, 0)[0]
    ends = []
    for a, b in product((0, 1), repeat=2):
        out = [place for place, c, d in (((0.5, b), 1 - a, b), ((a, 0.5), a, 1 - b)) if not square[c, d]]
        for place in out if square[a, b] else ():
            end = np.zeros(3)
            end[[one, other]] = place
            ends.append(end)
    yield from zip(ends[::2], ends[1::2], strict=True)
