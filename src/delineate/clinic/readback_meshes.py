"""Read-back of meshes and pages: what stands in an STL, a GLB, a PDF and a PNG, taken apart byte by byte.

Shares no code with what wrote them. A mesh must be closed, every edge being met once in each direction, and
hold the volume of its structure about the same centre, so that it is not turned inside out either.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image

from delineate.errors import DataError

Array = npt.NDArray[Any]

VOLUME_SHARE = 0.01  # writers promise a tenth of it; numbers in files have 24 bits
CENTRE = 1.0  # of the largest side of a voxel: corners are cut, islands rounded; 0.4 in blobs of few voxels
GLTF_STEPS = {0: (0.001, 0, 0), 1: (0, 0, -0.001), 2: (0, 0.001, 0)}  # where 1 mm to L, P, S leads, in m
FAULT = "nothing was delivered.\n  This is a fault of this program: please report it."


@dataclass(frozen=True)
class Solid:
    """A closed mesh: how much is within, and its centre (LPS+ mm)."""

    volume_mm3: float
    centre: tuple[float, ...]


def stl_solids(folder: Path) -> dict[int, Solid]:
    """The solids in the STL files of a folder by the number that opens their names."""
    return {int(path.name[:3]): _stl(path) for path in sorted(folder.iterdir())}


def glb_solids(path: Path) -> dict[str, Solid]:
    """The solids in a GLB by tracking UID."""
    content = path.read_bytes()
    magic, version, length, size = struct.unpack_from("<4sLLL", content)
    if (magic, version, length) != (b"glTF", 2, len(content)):
        raise DataError(f"{path}: is no glTF 2.0 in one file; {FAULT}")
    scene = json.loads(content[20 : 20 + size])
    numbers = content[28 + size :]
    root = scene["nodes"][scene["scenes"][scene["scene"]]["nodes"][0]]
    _check_turned(path, np.reshape(root["matrix"], (4, 4)).T)
    found = {}
    for child in root.get("children", []):
        node = scene["nodes"][child]
        drawn = scene["meshes"][node["mesh"]]["primitives"][0]
        corners = _accessed(scene, numbers, drawn["attributes"]["POSITION"]).reshape(-1, 3)
        triangles = _accessed(scene, numbers, drawn["indices"]).reshape(-1, 3).astype(np.int64)
        found[node["extras"]["trackingUID"]] = _solid(path, node["name"], corners, triangles)
    return found


def check_solids(
    path: Path,
    found: Mapping[Any, Solid],
    wanted: Mapping[Any, tuple[str, float, tuple[float, ...]]],
    side_mm: float,
) -> None:
    """Refuses meshes that are not those that were asked for.

    wanted   by the same keys: name, mm3, centre (LPS+ mm)
    side_mm  the largest side of a voxel
    """
    if set(found) != set(wanted):
        raise DataError(f"{path}: holds {len(found)} structures; {len(wanted)} have voxels; {FAULT}")
    for key, (name, volume, centre) in wanted.items():
        got = found[key]
        if abs(got.volume_mm3 - volume) > VOLUME_SHARE * volume:
            raise DataError(
                f"{path}: the mesh of {name} holds {got.volume_mm3:.6g} mm3, its voxels {volume:.6g}; {FAULT}"
            )
        off = float(np.linalg.norm(np.subtract(got.centre, centre)))
        if off > CENTRE * side_mm:
            raise DataError(f"{path}: the mesh of {name} is {off:.3g} mm off its voxels; {FAULT}")


def check_pdf(content: bytes, path: Path) -> None:
    """Refuses what is no PDF of one page."""
    pages = len(re.findall(rb"/Type\s*/Page\b", content))
    if not content.startswith(b"%PDF-") or b"%%EOF" not in content[-32:] or pages != 1:
        raise DataError(f"{path}: is no PDF of one page; {FAULT}")


def check_png(path: Path) -> None:
    """Refuses a picture that cannot be read, or shows nothing."""
    with Image.open(path) as picture:
        shades = picture.convert("L").getextrema()
    if shades[0] == shades[1]:
        raise DataError(f"{path}: is a picture of nothing; {FAULT}")


def check_encapsulated(path: Path, document: bytes) -> None:
    """Refuses a DICOM object that does not hold a document byte by byte."""
    content = pydicom.dcmread(path)
    if content.EncapsulatedDocument[: content.EncapsulatedDocumentLength] != document:
        raise DataError(f"{path}: does not hold the page that was put in; {FAULT}")


def _stl(path: Path) -> Solid:
    content = path.read_bytes()
    count = struct.unpack_from("<L", content, 80)[0]
    if len(content) != 84 + 50 * count or b"SPACE=LPS" not in content[:80]:
        raise DataError(f"{path}: is no binary STL in LPS; {FAULT}")
    rows = np.frombuffer(content, np.uint8, offset=84).reshape(count, 50)
    points = rows[:, 12:48].copy().view("<f4").reshape(-1, 3)
    corners, triangles = _joined(points)
    return _solid(path, path.stem, corners, triangles.reshape(-1, 3))


def _joined(points: Array) -> tuple[Array, Array]:
    """Points (n, 3) without repetition, and the number of each; as `np.unique` by rows, but much faster."""
    key = np.zeros(len(points), np.int64)
    for column in points.T:
        _, rank = np.unique(column, return_inverse=True)
        _, key = np.unique(key * (rank.max(initial=0) + 1) + rank, return_inverse=True)
    _, first = np.unique(key, return_index=True)
    return points[first], key


def _accessed(scene: Mapping[str, Any], numbers: bytes, index: int) -> Array:
    accessor = scene["accessors"][index]
    view = scene["bufferViews"][accessor["bufferView"]]
    kind = {5126: "<f4", 5125: "<u4"}[accessor["componentType"]]
    count = accessor["count"] * {"VEC3": 3, "SCALAR": 1}[accessor["type"]]
    return np.frombuffer(numbers, kind, count, view["byteOffset"])


def _check_turned(path: Path, matrix: Array) -> None:
    for axis, step in GLTF_STEPS.items():
        if not np.allclose(matrix[:3, axis], step, atol=1e-9):
            raise DataError(f"{path}: its scene is not turned from LPS mm to glTF's axes; {FAULT}")


def _solid(path: Path, name: str, corners: Array, triangles: Array) -> Solid:
    there = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(
        np.int64
    )
    forth = np.sort(there[:, 0] * len(corners) + there[:, 1])
    back = np.sort(there[:, 1] * len(corners) + there[:, 0])
    if not np.array_equal(forth, back) or (np.diff(forth) == 0).any():
        raise DataError(f"{path}: the mesh of {name} is not closed; {FAULT}")
    middle = corners.astype(np.float64).mean(axis=0)
    a, b, c = ((corners[triangles[:, n]] - middle) for n in range(3))
    volumes = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6  # of tetrahedra with the middle
    total = float(volumes.sum())
    centre = middle + (volumes[:, None] * (a + b + c) / 4).sum(axis=0) / total
    return Solid(total, tuple(centre.tolist()))
