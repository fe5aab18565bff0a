"""Store: prepared cases on disk, read by patch.

A folder per case: `image.b2nd` (channel, i, j, k) float32, `labels.b2nd` (i, j, k) label indices,
`objects.b2nd` (i, j, k) ids of single objects where those are learnt, `raters.b2nd` (rater, i, j, k) label
indices of each of several people where their shares are learnt, `locations.npy` sampled voxels of each
structure, `case.json` everything else. Arrays are compressed in
blocks (Blosc2), so that a patch costs no more than the blocks that it touches. A case folder is complete or
it is not there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import blosc2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from delineate.errors import DataError, GeometryError, RecordError, RunError
from delineate.io.disk import is_partial, replacing
from delineate.preparation.locations import Locations, Target
from delineate.record import Record
from delineate.space import Box, Geometry, Shape, triple

Array = npt.NDArray[Any]
Block = Box | tuple[slice, slice, slice]  # (i, j, k)

IMAGE, LABELS, LOCATIONS, PREVIOUS, CASE = (
    "image.b2nd", "labels.b2nd", "locations.npy", "previous.b2nd", "case.json",
)  # fmt: skip
OBJECTS, RATERS = "objects.b2nd", "raters.b2nd"
# Longest edges, in voxels, of what is decompressed at once: at most 128 KiB of float32 fit a core's cache.
EDGE_3D = 32
EDGE_2D = 128
CHUNK = 1 << 19  # voxels of a chunk of slices: 2 MiB of float32

# Measured on hippocampus MR and on CT: LZ4HC reads at 1.3 to 2.8 GB/s a core and halves what is copied from
# the scan; Zstandard saves another 10 % and reads three times slower. Higher levels only write slower.
CODEC, LEVEL = blosc2.Codec.LZ4HC, 1

ALONE = blosc2.DParams(nthreads=1)  # the reader's threads are the parallelism


class Grid(Record):
    """A voxel grid in a record."""

    shape: Shape
    affine: tuple[tuple[float, float, float, float], ...]

    @classmethod
    def of(cls, geometry: Geometry) -> Grid:
        """The record of a grid."""
        return cls(shape=geometry.shape, affine=tuple(tuple(row) for row in geometry.affine.tolist()))

    @property
    def geometry(self) -> Geometry:
        """The grid itself."""
        return Geometry(self.shape, np.array(self.affine))


class Structure(Record):
    """What one target has in a case: how many voxels, and which rows of its sampled locations."""

    number: int
    name: str
    voxels: int
    start: int
    stop: int


class CaseRecord(Record):
    """Everything about a prepared case but its voxels.

    made_from  digest of the source files and of how they were prepared; if it changes, so does the case
    grid       the grid that the network sees
    cropped    the scan's own voxels, turned and cropped
    missing    channels that the case lacks: 0 all over in `image`
    raters     who drew the maps of `raters.b2nd`, in their order
    is_pseudo  whether a model made the labels, and nobody reviewed them
    sizes      of the files, in bytes: a file of another size was cut short
    """

    version: Literal[1] = 1
    case: str
    made_from: str
    channels: tuple[str, ...]
    grid: Grid
    cropped: Grid
    structures: tuple[Structure, ...]
    missing: tuple[str, ...] = Field(default=(), exclude_if=lambda value: not value)
    raters: tuple[str, ...] = Field(default=(), exclude_if=lambda value: not value)
    is_pseudo: bool = Field(default=False, exclude_if=lambda value: not value)
    sizes: dict[str, int]


class Store:
    """The prepared cases of one configuration.

    ids  of the complete cases, sorted
    """

    def __init__(self, folder: Path, ids: Iterable[str], *, cache_gb: float = 0) -> None:
        self.folder = folder
        self.ids = tuple(sorted(ids))
        self._cache = _Cache(int(cache_gb * 1e9))
        self._cases: dict[str, StoredCase] = {}
        self._lock = Lock()

    @classmethod
    def open(cls, folder: Path, *, cache_gb: float = 0) -> Store:
        """The store in a folder that `prepare` wrote.

        cache_gb  how much memory may hold decompressed arrays, which all threads then share
        """
        if not folder.is_dir():
            raise RunError(f"{folder}: no prepared cases here. Run `delineate prepare` first.")
        ids = (p.name for p in folder.iterdir() if not is_partial(p) and (p / CASE).is_file())
        return cls(folder, ids, cache_gb=cache_gb)

    def case(self, id: str) -> StoredCase:  # noqa: A002 - the word for it everywhere
        """One prepared case."""
        with self._lock:
            if id not in self._cases:
                if id not in self.ids:
                    raise DataError(
                        f"{self.folder}: case {id!r} is not prepared. Run `delineate prepare` again."
                    )
                self._cases[id] = StoredCase(self.folder / id, self._cache)
            return self._cases[id]

    def write_previous(self, id: str, labels: Array) -> None:  # noqa: A002
        """Keeps label indices (i, j, k) of the previous cascade stage beside a case, for `previous`."""
        case = self.case(id)
        if labels.shape != case.shape or not np.issubdtype(labels.dtype, np.integer):
            raise DataError(
                f"{id}: labels of the previous stage are whole numbers on the prepared grid, "
                f"{case.shape}; got {labels.dtype} {labels.shape}"
            )
        with replacing(case.folder / PREVIOUS) as path:
            _write_array(path, smallest(labels), case.shape, repeats=True)
        self._cache.forget((id, PREVIOUS))


class StoredCase:
    """One prepared case; arrays that it gives are the caller's own.

    Everything may be called from several threads at once.
    """

    def __init__(self, folder: Path, cache: _Cache) -> None:
        self.folder = folder
        self.record = load_record(folder)
        self._cache = cache

    @property
    def id(self) -> str:
        """The case's id."""
        return self.record.case

    @property
    def shape(self) -> Shape:
        """Voxels along (i, j, k)."""
        return self.record.grid.shape

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the image's channels."""
        return self.record.channels

    @cached_property
    def missing(self) -> tuple[int, ...]:
        """Numbers of the channels that the case lacks: 0 all over."""
        return tuple(self.channels.index(name) for name in self.record.missing)

    @cached_property
    def geometry(self) -> Geometry:
        """The grid of the arrays."""
        return self.record.grid.geometry

    @cached_property
    def cropped(self) -> Geometry:
        """The scan's own voxels, turned and cropped: what was resampled onto `geometry`."""
        return self.record.cropped.geometry

    @cached_property
    def classes_present(self) -> tuple[int, ...]:
        """Numbers (from 1) of the labels, or of the regions where there are any, that have voxels here."""
        return tuple(s.number for s in self.record.structures if s.voxels and s.number > 0)

    @cached_property
    def classes_annotated(self) -> tuple[int, ...]:
        """The same, after the background (-1) where some was marked and the plan draws it like the others."""
        return tuple(s.number for s in self.record.structures if s.voxels and s.number)

    @property
    def is_pseudo(self) -> bool:
        """Whether a model made the labels, and nobody reviewed them."""
        return self.record.is_pseudo

    def image(self, block: Block | None = None) -> npt.NDArray[np.float32]:
        """Values (channel, i, j, k) float32 of a block within the grid, or of all of it."""
        return self._read(IMAGE, block, len(self.channels)).astype(np.float32, copy=False)

    def labels(self, block: Block | None = None) -> npt.NDArray[np.int16]:
        """Label indices (i, j, k) int16: 0 background, n the n-th label of the schema, -1 unknown."""
        return self._read(LABELS, block).astype(np.int16, copy=False)

    @property
    def raters(self) -> int:
        """How many maps `drawn` gives."""
        return max(1, len(self.record.raters))

    def drawn(self, block: Block | None = None) -> npt.NDArray[np.int16]:
        """Label indices (rater, i, j, k) int16 of each rater; of a case without, its labels as of one."""
        if not self.record.raters:
            return self.labels(block)[None]
        return self._read(RATERS, block, self.raters).astype(np.int16, copy=False)

    @property
    def has_previous(self) -> bool:
        """Whether labels of the previous cascade stage were written."""
        return (self.folder / PREVIOUS).is_file()

    def previous(self, block: Block | None = None) -> npt.NDArray[np.int16]:
        """Label indices (i, j, k) int16 that the previous cascade stage predicted."""
        if not self.has_previous:
            raise RunError(
                f"{self.folder}: no labels of the previous cascade stage. Train that stage first; its "
                f"predictions are then written here."
            )
        return self._read(PREVIOUS, block).astype(np.int16, copy=False)

    def objects(self, block: Block | None = None) -> npt.NDArray[np.int32]:
        """Ids of single objects (i, j, k) int32: 0 is background."""
        if OBJECTS not in self.record.sizes:
            raise DataError(
                f"{self.folder}: holds no single objects: it was prepared for another network. Run "
                "`delineate prepare` again."
            )
        return self._read(OBJECTS, block).astype(np.int32, copy=False)

    def locations(self, number: int) -> npt.NDArray[np.int32]:
        """Voxels (n, 3) of a label or region by number, drawn when the case was prepared.

        Number 0 is everything annotated, in a dataset with an ignore label.
        """
        for structure in self.record.structures:
            if structure.number == number:
                return self._rows(structure.start, structure.stop)
        numbers = [structure.number for structure in self.record.structures]
        raise DataError(f"{self.folder}: no locations of class {number}; there are {numbers}")

    def _rows(self, start: int, stop: int) -> npt.NDArray[np.int32]:
        try:
            rows = np.load(self.folder / LOCATIONS, mmap_mode="r", allow_pickle=False)
            return np.array(rows[start:stop, 1:])  # a copy: what is mapped keeps a file open
        except (ValueError, IndexError, EOFError, OSError):
            raise _damaged(self.folder, LOCATIONS) from None

    def _slices(self, block: Block | None) -> tuple[slice, ...]:
        if block is None:
            return (slice(None),) * 3
        if not isinstance(block, Box):
            return block
        if block.clipped(self.shape) != block:
            raise GeometryError(
                f"{self.id}: the block from {block.start} to {block.stop} sticks out of the prepared grid of "
                f"{self.shape} voxels. Read `block.clipped(shape)` and pad what is missing."
            )
        return block.slices

    def _read(self, name: str, block: Block | None, lead: int | None = None) -> Array:
        """A block of a stored array, which has `lead` entries along a first axis of its own."""
        where = self._slices(block) if lead is None else (slice(None), *self._slices(block))
        whole = self.shape if lead is None else (lead, *self.shape)
        size = math.prod(whole) * (4 if name == IMAGE else 2)  # bytes
        kept = self._cache.get((self.id, name), size, lambda: self._stored(name, whole, ...))
        return self._stored(name, whole, where) if kept is None else np.array(kept[where])

    def _stored(self, name: str, whole: tuple[int, ...], where: Any) -> Array:
        """A block of a stored array, from a file opened for this once: threads share no handle."""
        try:
            stored = blosc2.open(str(self.folder / name), mode="r", mmap_mode="r", dparams=ALONE)
            if stored.shape == whole:
                return np.asarray(stored[where])
        except (RuntimeError, ValueError, OverflowError, TypeError, OSError) as error:  # Blosc2's and ours
            raise _damaged(self.folder, name) from error
        raise _damaged(self.folder, name)


@dataclass(frozen=True)
class Prepared:
    """What a case folder is written from.

    image      (channel, i, j, k) float32 on `grid`
    labels     (i, j, k) label indices on `grid`
    cropped    the scan's own voxels, turned and cropped
    targets    whose voxels `locations` holds
    missing    channels that the scan lacks
    objects    (i, j, k) ids of single objects on `grid`; None where those are not learnt
    drawn      (i, j, k) label indices of each of several raters, by name, where their shares are learnt
    is_pseudo  whether a model made the labels, and nobody reviewed them
    """

    image: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int16]
    grid: Geometry
    cropped: Geometry
    channels: tuple[str, ...]
    targets: tuple[Target, ...]
    locations: Locations
    missing: tuple[str, ...] = ()
    objects: npt.NDArray[np.int32] | None = None
    drawn: Mapping[str, npt.NDArray[np.int16]] = field(default_factory=dict)
    is_pseudo: bool = False


def write_case(store: Path, case: str, prepared: Prepared, *, patch: Shape, made_from: str) -> None:
    """Writes the folder of a case into a store, whole or not at all.

    patch  what will be read at once: arrays are compressed in chunks of about this shape
    """
    copied = prepared.grid.shape == prepared.cropped.shape
    with replacing(store / case) as folder:
        folder.mkdir()
        _write_array(folder / IMAGE, prepared.image, patch, repeats=copied)
        _write_array(folder / LABELS, smallest(prepared.labels), patch, repeats=True)
        if prepared.objects is not None:
            _write_array(folder / OBJECTS, prepared.objects, patch, repeats=True)
        if prepared.drawn:
            every = smallest(np.stack(list(prepared.drawn.values())))
            _write_array(folder / RATERS, every, patch, repeats=True)
        np.save(folder / LOCATIONS, prepared.locations.rows)
        record = CaseRecord(
            case=case,
            made_from=made_from,
            channels=prepared.channels,
            grid=Grid.of(prepared.grid),
            cropped=Grid.of(prepared.cropped),
            structures=_structures(prepared.targets, prepared.locations),
            missing=prepared.missing,
            raters=tuple(prepared.drawn),
            is_pseudo=prepared.is_pseudo,
            sizes={path.name: path.stat().st_size for path in sorted(folder.iterdir())},
        )
        (folder / CASE).write_text(record.to_json(), encoding="utf-8")


def load_record(folder: Path) -> CaseRecord:
    """The record of a case folder whose files are all there and all as long as they were."""
    try:
        record = CaseRecord.load(folder / CASE)
    except RecordError as error:
        raise _damaged(folder, CASE) from error
    for name, size in record.sizes.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise _damaged(folder, name)
    return record


def smallest(labels: Array) -> Array:
    """Label indices as int8 where they fit, else int16."""
    return labels.astype(np.int8 if labels.max(initial=0) < 128 else np.int16)


def _damaged(folder: Path, name: str) -> DataError:
    return DataError(
        f"{folder / name}: is missing, cut short or damaged. Delete the folder {folder} and run "
        f"`delineate prepare` again; only this case is then prepared anew."
    )


def _structures(targets: tuple[Target, ...], locations: Locations) -> tuple[Structure, ...]:
    numbers = locations.rows[:, 0]
    return tuple(
        Structure(
            number=target.number,
            name=target.name,
            voxels=voxels,
            start=int(np.searchsorted(numbers, target.number, side="left")),
            stop=int(np.searchsorted(numbers, target.number, side="right")),
        )
        for target, voxels in zip(targets, locations.voxels, strict=True)
    )


def _write_array(path: Path, array: Array, patch: Shape, *, repeats: bool) -> None:
    """Writes an array ([channel,] i, j, k).

    repeats  whether values occur again and again: then whole values compress best, else their bytes do
    """
    lead = (1,) * (array.ndim - 3)
    chunks, blocks = layout(triple(array.shape[-3:]), patch)
    blosc2.asarray(
        np.ascontiguousarray(array),
        urlpath=str(path),
        mode="w",
        chunks=(*lead, *chunks),
        blocks=(*lead, *blocks),
        cparams=blosc2.CParams(
            codec=CODEC,
            clevel=LEVEL,
            nthreads=1,
            filters=[blosc2.Filter.NOFILTER if repeats else blosc2.Filter.SHUFFLE],
            filters_meta=[0],
        ),
    )


def layout(shape: Shape, patch: Shape) -> tuple[Shape, Shape]:
    """Chunks, which the file lists, and the blocks in them, which are decompressed.

    Chunks are about a patch. Slices are blocks of their own, many to a chunk: a chunk costs 0.4 ms to write.
    """
    edge = EDGE_2D if 1 in patch else EDGE_3D
    plane = math.prod(patch)
    chunk = triple(
        even(n, max(1, CHUNK // plane) if p == 1 else p) for n, p in zip(shape, patch, strict=True)
    )
    return chunk, triple(1 if p == 1 else even(n, edge) for n, p in zip(chunk, patch, strict=True))


def even(length: int, longest: int) -> int:
    """The edge of equal pieces of `length` of at most `longest`: 50 in pieces of 32 is 25 and 25."""
    return math.ceil(length / math.ceil(length / longest))


class _Cache:
    """Arrays in memory, as many as fit; each is read once, whoever asks first."""

    def __init__(self, room: int) -> None:
        self._room = room  # bytes
        self._kept: dict[tuple[str, str], _Entry] = {}
        self._lock = Lock()

    def get(self, key: tuple[str, str], size: int, read: Callable[[], Array]) -> Array | None:
        """The array, or None where there is no room for its `size` bytes."""
        with self._lock:
            entry = self._kept.get(key)
            if entry is None:
                if size > self._room:
                    return None
                entry = self._kept[key] = _Entry(size)
                self._room -= size
        return entry.array(read)

    def forget(self, key: tuple[str, str]) -> None:
        """Drops an array that has changed on disk."""
        with self._lock:
            entry = self._kept.pop(key, None)
            self._room += entry.size if entry else 0


class _Entry:
    """A place in the cache; the first who asks fills it, the others wait."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._lock = Lock()
        self._array: Array | None = None

    def array(self, read: Callable[[], Array]) -> Array:
        with self._lock:
            if self._array is None:
                self._array = read()
            return self._array
