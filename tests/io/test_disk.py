import json

import pytest

from delineate.io import disk


def there(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_place_only_when_the_body_succeeds(tmp_path):
    path = tmp_path / "deep" / "scan.nii.gz"
    with disk.replacing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffixes[-2:] == [".nii", ".gz"]
        assert disk.is_partial(temporary)
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert there(path.parent) == ["scan.nii.gz"]


def test_when_the_body_fails_the_old_file_stays_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyError), disk.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError("power cut")
    assert path.read_text() == "old"
    assert there(tmp_path) == ["a.txt"]


def test_a_folder_takes_the_place_of_one_that_holds_files(tmp_path):
    path = tmp_path / "case"
    for content in ("one", "two"):
        with disk.replacing(path) as temporary:
            temporary.mkdir()
            (temporary / f"{content}.txt").write_text(content)
    assert there(path) == ["two.txt"]
    assert there(tmp_path) == ["case"]


def test_when_filling_a_folder_fails_the_old_one_stays(tmp_path):
    path = tmp_path / "case"
    path.mkdir()
    (path / "old.txt").write_text("old")
    with pytest.raises(KeyError), disk.replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "half.txt").write_text("half")
        raise KeyError("power cut")
    assert there(path) == ["old.txt"]
    assert there(tmp_path) == ["case"]


@pytest.mark.parametrize("folder", [True, False])
def test_a_body_that_writes_nothing_loses_nothing(tmp_path, folder):
    path = tmp_path / "case"
    if folder:
        path.mkdir()
    else:
        path.write_text("old")
    with pytest.raises(OSError), disk.replacing(path):
        pass
    assert there(tmp_path) == ["case"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "case"
    path.mkdir()
    (path / "old.txt").write_text("old")
    rename = type(path).rename

    def refuse(self, target):
        if target == path and disk.is_partial(self) and (self / "new.txt").exists():
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", refuse)
    with pytest.raises(OSError, match="no"), disk.replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "new.txt").write_text("new")
    assert there(path) == ["old.txt"]


def test_names_as_long_as_the_file_system_takes_can_be_written(tmp_path):
    path = tmp_path / ("n" * 240 + ".nii.gz")
    disk.write_text(path, "here")
    assert path.read_text() == "here"


def test_text_and_values_are_written_whole_in_utf8(tmp_path):
    disk.write_text(tmp_path / "a.txt", "naïve µm\n")
    assert (tmp_path / "a.txt").read_bytes() == "naïve µm\n".encode()
    disk.write_json(tmp_path / "a.json", {"größe": [1, 2]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"größe": [1, 2]}


def test_a_digest_is_that_of_the_bytes(tmp_path):
    disk.write_text(tmp_path / "a.txt", "abc")
    assert disk.file_digest(tmp_path / "a.txt").startswith("ba7816bf8f01cfea")


def test_only_hidden_names_of_ours_are_partial(tmp_path):
    assert not disk.is_partial(tmp_path / "lesion.partial.nii.gz")
    assert disk.is_partial(tmp_path / ".01234567.partial-lesion.nii.gz")


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    path = tmp_path / "case.nii.gz"
    path.mkdir()
    (path / "mine.txt").write_text("mine")
    with pytest.raises(IsADirectoryError), disk.replacing(path) as temporary:
        temporary.write_text("new")
    assert there(path) == ["mine.txt"]
    assert there(tmp_path) == ["case.nii.gz"]


def test_sweeping_removes_what_was_never_finished_and_nothing_else(tmp_path):
    half = disk._beside(tmp_path / "deep" / "case")
    half.mkdir(parents=True)
    disk._beside(half / "image.b2nd").write_text("half")
    disk._beside(tmp_path / "plan.json").write_text("half")
    (tmp_path / "plan.json").write_text("whole")
    (tmp_path / ".hidden").write_text("not ours")
    disk.sweep(tmp_path)
    assert there(tmp_path) == [".hidden", "deep", "plan.json"]
    assert there(tmp_path / "deep") == []


def test_sweeping_beside_a_path_removes_only_what_was_left_of_it(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    disk._beside(model).mkdir()
    other = disk._beside(tmp_path / "models")
    other.mkdir()
    disk.sweep_beside(model)
    assert there(tmp_path) == sorted(["model", other.name])


def test_sweeping_of_some_files_removes_only_what_was_left_of_them(tmp_path):
    labels = [tmp_path / "out" / "a.nii.gz", tmp_path / "out" / "b.nii.gz", tmp_path / "none" / "c.nii.gz"]
    labels[0].parent.mkdir()
    labels[0].write_text("whole")
    half, other = disk._beside(labels[1]), disk._beside(tmp_path / "out" / "theirs.nii.gz")
    half.write_text("half")
    other.write_text("half")
    disk.sweep_of(labels)
    assert there(tmp_path / "out") == sorted(["a.nii.gz", other.name])
