import json
from pathlib import Path

import pytest

from delineate.dataset.listing import by_name, is_there, paired, read_json, scan_name, scans_in, within
from delineate.errors import DataError


def test_paths_stay_inside_the_folder_of_the_file_that_names_them(tmp_path):
    where = tmp_path / "dataset.csv"
    assert within(tmp_path, "./images/a.nii", where) == tmp_path / "images" / "a.nii"
    assert within(tmp_path, "images/../a.nii", where) == tmp_path / "a.nii"
    assert within(tmp_path, "/data/a.nii", where) == Path("/data/a.nii")


@pytest.mark.parametrize("text", ["../a.nii", "images/../../a.nii", ".."])
def test_a_relative_path_that_climbs_out_is_refused(tmp_path, text):
    with pytest.raises(DataError, match=r"leads out of .*write the absolute path"):
        within(tmp_path, text, tmp_path / "dataset.csv")


def test_a_name_that_no_file_system_takes_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"is no name of a file: File name too long"):
        within(tmp_path, "a" * 300, tmp_path / "dataset.csv")
    assert not is_there(tmp_path / ("a" * 300))
    assert not is_there(tmp_path)


@pytest.mark.parametrize("text", [None, 3, ""])
def test_what_is_no_text_is_no_path(tmp_path, text):
    with pytest.raises(DataError, match="expected the name of a file"):
        within(tmp_path, text, tmp_path / "dataset.json")


def test_hidden_files_are_no_scans(tmp_path):
    for name in ("b.nii.gz", "a.png", "._a.png", ".DS_Store", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in scans_in(tmp_path)] == ["a.png", "b.nii.gz"]
    assert scans_in(tmp_path / "nothing") == []


def test_names_lose_the_suffix_of_their_format_and_no_more():
    assert scan_name(Path("a.b.nii.gz")) == "a.b"
    assert scan_name(Path("A.NII.GZ")) == "A"
    assert scan_name(Path("folder")) == "folder"


def test_two_files_of_one_name_are_a_problem(tmp_path):
    found, problems = by_name([tmp_path / "a.png", tmp_path / "a.bmp"], "images:")
    assert found == {"a": tmp_path / "a.png"}
    assert problems[0].kind == "duplicate-id"
    assert "a.png and a.bmp" in problems[0].message


def test_pairs_orphans_and_images_alone_are_told_apart(tmp_path):
    images = {"a": (tmp_path / "a.png",), "b": (tmp_path / "b.png",)}
    pairs = paired(images, {"b": tmp_path / "lb.png", "c": tmp_path / "lc.png"}, "labels/{}.png")
    assert [case.id for case in pairs.cases] == ["b"]
    assert [case.id for case in pairs.unlabelled] == ["a"]
    assert pairs.orphans == (tmp_path / "lc.png",)
    assert "expected labels/a.png" in pairs.problems[0].message


def test_json_that_is_none_is_refused_by_name(tmp_path):
    path = tmp_path / "dataset.json"
    with pytest.raises(DataError, match=r"dataset.json: cannot be read"):
        read_json(path)
    path.write_text("{")
    with pytest.raises(DataError, match=r"dataset.json: is not JSON: .*line 1"):
        read_json(path)
    path.write_text(json.dumps([1]))
    with pytest.raises(DataError, match=r"expected a JSON object .* got list"):
        read_json(path)


def test_links_to_files_elsewhere_are_followed(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.png").write_bytes(b"x")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").symlink_to(tmp_path / "store" / "a.png")
    assert [path.name for path in scans_in(tmp_path / "images")] == ["a.png"]
