"""STL and GLB hold the surfaces: as trimesh reads them, and as our read-back insists."""

import json
import struct

import numpy as np
import pytest
from clinic_stacks import Stack, result_of, write_images

from delineate.clinic import deliver, surfaces, write_glb, write_stl
from delineate.clinic.measurements import volume_ml
from delineate.errors import DataError


@pytest.fixture
def result(tmp_path):
    stack = Stack(columns=24, rows=20, count=9, spacing=(0.8, 1.1), gap=2.5, origin=(-120.0, 40.0, 700.0))
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[3:12, 4:15, 2:7] = 1
    values[6:9, 7:10, 4] = 2
    values[20, 3, 8] = 3
    return result_of(write_images(tmp_path / "series", stack), stack, values)


def stl(result, path, before):
    return write_stl(result, path, surfaces(result))


def glb(result, path, before):
    return write_glb(result, path, surfaces(result))


def test_trimesh_reads_closed_surfaces_in_patient_mm_from_stl(result, tmp_path):
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")
    made = write_stl(result, tmp_path / "stl", surfaces(result))
    names = ["001_liver.stl", "002_kidney_left.stl", "003_liver_tumour.stl"]
    assert sorted(path.name for path in made.path.iterdir()) == names
    assert made.notes == ("spleen is empty and has no surface",)
    for name, finding in zip(names, result.findings, strict=False):
        mesh = trimesh.load(made.path / name)
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        assert mesh.volume == pytest.approx(volume_ml(result, finding) * 1000, rel=1e-3)
        i, j, k = np.nonzero(result.mask(finding))
        middle = result.series.to_patient(i, j, k).mean(axis=0)
        assert mesh.center_mass == pytest.approx(middle, abs=0.1)
    assert (made.path / names[0]).read_bytes()[:80].startswith(b"delineate SPACE=LPS UNIT=mm liver")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:trimesh")
def test_trimesh_reads_every_structure_from_glb_upright_and_in_metres(result, tmp_path):
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")
    write_glb(result, tmp_path / "a.glb", surfaces(result))
    scene = trimesh.load(tmp_path / "a.glb")
    assert sorted(scene.geometry) == ["kidney_left", "liver", "liver tumour"]
    for finding in result.findings[:3]:
        mesh = scene.geometry[finding.name]
        assert mesh.is_watertight
        assert mesh.volume == pytest.approx(volume_ml(result, finding) * 1000, rel=1e-3)
        transform, _ = scene.graph[finding.name]
        left, posterior, superior = mesh.center_mass
        placed = transform @ [*mesh.center_mass, 1]
        assert placed[:3] == pytest.approx([left / 1000, superior / 1000, -posterior / 1000])
        assert np.linalg.det(transform[:3, :3]) == pytest.approx(1e-9)  # turned, not mirrored


def scene_of(path):
    content = path.read_bytes()
    return json.loads(content[20 : 20 + struct.unpack_from("<L", content, 12)[0]])


def test_a_glb_says_what_each_structure_is_by_the_identity_that_all_objects_share(result, tmp_path):
    write_glb(result, tmp_path / "a.glb", surfaces(result))
    nodes = scene_of(tmp_path / "a.glb")["nodes"][1:]
    assert [node["extras"]["trackingUID"] for node in nodes] == [f.tracking_uid for f in result.findings[:3]]
    assert nodes[1]["extras"]["side"] == "Left"
    assert nodes[2]["extras"]["region"] == "SCT:10200004 (Liver)"
    assert nodes[0]["extras"]["code"] == "SCT:10200004 (Liver)"


def test_nothing_found_is_an_empty_folder_and_an_empty_scene(result, tmp_path):
    from dataclasses import replace

    empty = replace(result, array=np.zeros_like(result.array))
    delivery = deliver(empty, tmp_path / "out", {"stl": stl, "a.glb": glb})
    assert list((tmp_path / "out" / "stl").iterdir()) == []
    assert "meshes" not in scene_of(tmp_path / "out" / "a.glb")
    assert "STL: liver is empty and has no surface" in delivery.notes


def flipped(path):
    file = next(path.iterdir())
    content = bytearray(file.read_bytes())
    for start in range(84, len(content), 50):
        content[start + 12 : start + 24], content[start + 24 : start + 36] = (
            content[start + 24 : start + 36],
            content[start + 12 : start + 24],
        )
    file.write_bytes(content)


def torn(path):
    file = next(path.iterdir())
    content = bytearray(file.read_bytes())
    content[84 + 12 : 84 + 16] = struct.pack("<f", 9.0)
    file.write_bytes(content)


def moved(path):
    for file in path.iterdir():
        content = bytearray(file.read_bytes())
        points = np.frombuffer(content, np.uint8, offset=84).reshape(-1, 50)[:, 12:48].copy().view("<f4")
        points[:, ::3] += 3
        rows = np.frombuffer(content, np.uint8, offset=84).reshape(-1, 50).copy()
        rows[:, 12:48] = points.view(np.uint8)
        file.write_bytes(bytes(content[:84]) + rows.tobytes())


def lost(path):
    next(path.iterdir()).unlink()


def unsaid(path):
    file = next(path.iterdir())
    file.write_bytes(file.read_bytes().replace(b"SPACE=LPS", b"SPACE=RAS"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flipped, r"the mesh of .* holds -"),
        (torn, "is not closed"),
        (moved, "the mesh of liver is 3 mm off its voxels"),
        (lost, "holds 2 structures; 3 have voxels"),
        (unsaid, "is no binary STL in LPS"),
    ],
)
def test_an_stl_that_is_not_its_structure_is_refused(result, tmp_path, change, message):
    def spoiled(result, path, before):
        made = stl(result, path, before)
        change(path)
        return made

    with pytest.raises(DataError, match=message):
        deliver(result, tmp_path / "out", {"stl": spoiled})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"glTF", b"glTG", "is no glTF 2.0 in one file"),
        (b"0.001,0.0,0.0", b"0.002,0.0,0.0", "is not turned from LPS mm to glTF's axes"),
    ],
)
def test_a_glb_that_is_not_its_structures_is_refused(result, tmp_path, old, new, message):
    def spoiled(result, path, before):
        made = glb(result, path, before)
        path.write_bytes(path.read_bytes().replace(old, new, 1))
        return made

    with pytest.raises(DataError, match=message):
        deliver(result, tmp_path / "out", {"a.glb": spoiled})
