"""Meshes: the surfaces of a result for printing and for looking at, as STL and as GLB.

    STL  binary, a file per structure, numbers in patient mm, LPS+ (said in its header as 3D Slicer reads it)
    GLB  glTF 2.0 in one binary file, a node per structure with its name, colour, code and tracking UID

Corners in a GLB are in patient mm, LPS+, too. Its root turns and scales them to what glTF wants: metres, the
head up (+Y), the patient's front towards the viewer (+Z), the patient's left at +X.

Source: 3D Systems, StereoLithography Interface Specification 1989; Khronos, glTF 2.0 Specification.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate import __version__
from delineate.clinic.result import Finding, Result
from delineate.clinic.surface import SMOOTHING, Surface, surface_of
from delineate.clinic.written import Written
from delineate.io.disk import replacing

Surfaces = Mapping[str, Surface | None]  # by the name of the structure; None where it is empty

HEADER = 80  # letters before the count of triangles in an STL
TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
TO_GLTF = (  # LPS+ mm to glTF, as the columns of a matrix
    0.001, 0.0, 0.0, 0.0,
    0.0, 0.0, -0.001, 0.0,
    0.0, 0.001, 0.0, 0.0,
    0.0, 0.0, 0.0, 1.0,
)  # fmt: skip
MAGIC, JSON, BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
FLOAT, UNSIGNED, VERTICES, INDICES = 5126, 5125, 34962, 34963  # glTF's own numbers for them


def surfaces(result: Result, *, smoothing: int = SMOOTHING) -> Surfaces:
    """The surface of every structure of a result."""
    return {finding.name: surface_of(result, finding, smoothing=smoothing) for finding in result.findings}


def write_stl(result: Result, folder: Path, found: Surfaces) -> Written:
    """Writes an STL file for each structure that is not empty into a new folder."""
    notes = _left_out(found)
    with replacing(folder) as temporary:
        temporary.mkdir()
        for number, finding in enumerate(result.findings, 1):
            if (mesh := found[finding.name]) is not None:
                (temporary / stl_name(finding, number)).write_bytes(_stl(mesh, finding))
    return Written("STL", folder, numbers=_numbers(result), notes=notes)


def stl_name(finding: Finding, number: int) -> str:
    """The file of a structure: its number and name, in letters that every system takes."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", finding.name).strip("_")
    return f"{number:03d}_{plain}.stl"


def write_glb(result: Result, path: Path, found: Surfaces) -> Written:
    """Writes all structures that are not empty as the nodes of one GLB file."""
    meshes = [(f, mesh) for f in result.findings if (mesh := found[f.name]) is not None]
    with replacing(path) as temporary:
        temporary.write_bytes(_glb(meshes))
    return Written("GLB", path, numbers=_numbers(result), notes=_left_out(found))


def _numbers(result: Result) -> dict[str, int]:
    return {finding.name: number for number, finding in enumerate(result.findings, 1)}


def _left_out(found: Surfaces) -> tuple[str, ...]:
    return tuple(f"{name} is empty and has no surface" for name, mesh in found.items() if mesh is None)


# STL


def _stl(mesh: Surface, finding: Finding) -> bytes:
    said = f"delineate SPACE=LPS UNIT=mm {finding.name}"
    header = said.encode("ascii", "replace")[:HEADER].ljust(HEADER)
    corners = mesh.corners[mesh.triangles]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    triangles = np.zeros(len(corners), TRIANGLE)
    triangles["normal"] = flat / np.where(length > 0, length, 1)
    triangles["corners"] = corners
    return header + struct.pack("<L", len(triangles)) + triangles.tobytes()


# GLB


def _glb(meshes: list[tuple[Finding, Surface]]) -> bytes:
    """A GLB: a header, the scene as JSON, and the numbers as they are."""
    parts: list[bytes] = []
    scene = _scene(meshes, parts)
    described = json.dumps(scene, ensure_ascii=False, separators=(",", ":")).encode()
    chunks = _chunk(JSON, described, b" ")
    if parts:
        chunks += _chunk(BIN, b"".join(parts), b"\0")
    return struct.pack("<LLL", MAGIC, 2, 12 + len(chunks)) + chunks


def _chunk(kind: int, content: bytes, padding: bytes) -> bytes:
    content += padding * (-len(content) % 4)
    return struct.pack("<LL", len(content), kind) + content


def _scene(meshes: list[tuple[Finding, Surface]], parts: list[bytes]) -> dict[str, Any]:
    """The scene; the numbers of its meshes are added to `parts`."""
    scene: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"delineate {__version__}"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
    }
    root: dict[str, Any] = {"name": "patient, LPS+ mm", "matrix": list(TO_GLTF)}
    scene["nodes"] = [root, *(_node(finding, n) for n, (finding, _) in enumerate(meshes))]
    if not meshes:
        return scene  # glTF allows no empty lists
    root["children"] = list(range(1, len(meshes) + 1))
    scene["meshes"] = [_mesh(finding, n) for n, (finding, _) in enumerate(meshes)]
    scene["materials"] = [_material(finding) for finding, _ in meshes]
    scene["accessors"], scene["bufferViews"] = [], []
    for _, mesh in meshes:
        for values, bounds in (
            (mesh.corners.astype("<f4"), True),
            (mesh.normals.astype("<f4"), False),
            (mesh.triangles.astype("<u4").ravel(), False),
        ):
            _add(scene, parts, values, bounds=bounds)
    scene["buffers"] = [{"byteLength": sum(map(len, parts))}]
    return scene


def _node(finding: Finding, n: int) -> dict[str, Any]:
    concept = finding.concept
    about = {
        "trackingUID": finding.tracking_uid,
        "trackingID": finding.tracking_id,
        "code": str(concept.kind),
    }
    about |= {} if concept.side is None else {"side": concept.side.meaning}
    about |= {} if concept.region is None else {"region": str(concept.region)}
    return {"name": finding.name, "mesh": n, "extras": about}


def _mesh(finding: Finding, n: int) -> dict[str, Any]:
    attributes = {"POSITION": 3 * n, "NORMAL": 3 * n + 1}
    drawn = {"attributes": attributes, "indices": 3 * n + 2, "material": n, "mode": 4}
    return {"name": finding.name, "primitives": [drawn]}


def _material(finding: Finding) -> dict[str, Any]:
    color = [*_linear(finding.concept.color), 1.0]
    surface_ = {"baseColorFactor": color, "metallicFactor": 0.0, "roughnessFactor": 0.8}
    return {"name": finding.name, "pbrMetallicRoughness": surface_}


def _linear(color: tuple[int, int, int]) -> list[float]:
    """SRGB as the linear light that glTF wants: IEC 61966-2-1."""
    share = np.array(color) / 255
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return [round(float(value), 5) for value in light]


def _add(scene: dict[str, Any], parts: list[bytes], values: npt.NDArray[Any], *, bounds: bool) -> None:
    """Adds numbers to the buffer, with the view and the accessor that find them there."""
    content = values.tobytes()
    is_index = values.ndim == 1
    view = {"buffer": 0, "byteOffset": sum(map(len, parts)), "byteLength": len(content)}
    view["target"] = INDICES if is_index else VERTICES
    accessor: dict[str, Any] = {
        "bufferView": len(scene["bufferViews"]),
        "componentType": UNSIGNED if is_index else FLOAT,
        "count": len(values),
        "type": "SCALAR" if is_index else "VEC3",
    }
    if bounds:
        accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
    scene["bufferViews"].append(view)
    scene["accessors"].append(accessor)
    parts.append(content)
