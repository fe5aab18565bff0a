"""Channels that a case may lack: declared, told, and never made up."""

import pytest

from delineate.dataset import Dataset, check, write_nnunet
from delineate.errors import DataError


@pytest.fixture
def lacking(small, tmp_path):
    """Three cases, of which `a` has no FLAIR, as is declared."""
    small.nnunet(tmp_path / "data")
    (tmp_path / "data" / "imagesTr" / "a_0001.nii.gz").unlink()
    small.put_json(tmp_path / "data" / "channels.json", {"optional": ["FLAIR"]})
    return tmp_path / "data"


def test_a_scan_has_the_channels_that_are_there(lacking, small):
    dataset = Dataset.open(lacking)
    assert dataset.optional == ("FLAIR",)
    scan = dataset.scan(dataset.case("a"))
    assert scan.channels == ("T1",)
    assert (scan.array[0] == small.voxels(0)).all()
    assert dataset.scan(dataset.case("b")).channels == ("T1", "FLAIR")


def test_a_channel_that_is_not_declared_optional_is_refused_with_the_way_to_declare_it(lacking):
    (lacking / "channels.json").unlink()
    dataset = Dataset.open(lacking)
    with pytest.raises(DataError, match=r'a: FLAIR is missing.*\{"optional": \["FLAIR"\]\} as channels.json'):
        dataset.scan(dataset.case("a"))


def test_check_says_which_case_lacks_what_and_goes_on(lacking):
    problems = check(Dataset.open(lacking)).problems
    told = [problem for problem in problems if problem.kind == "without-channel"]
    assert [(problem.case, problem.severity) for problem in told] == [("a", "note")]
    assert told[0].message == "a: FLAIR is missing, which is declared optional."
    assert not any(problem.kind in ("missing-channel", "never-missing") for problem in problems)


def test_check_warns_of_an_optional_channel_that_nothing_teaches_to_do_without(small, tmp_path):
    small.nnunet(tmp_path)
    small.put_json(tmp_path / "channels.json", {"optional": ["FLAIR"]})
    (told,) = [p for p in check(Dataset.open(tmp_path)).problems if p.kind == "never-missing"]
    assert "--channel-dropout" in told.remedy


def test_a_manifest_declares_optional_channels_beside_it_or_in_its_json(small, tmp_path):
    small.manifest(tmp_path)
    small.put_json(tmp_path / "channels.json", {"optional": ["T1"]})
    assert Dataset.open(tmp_path).optional == ("T1",)
    assert Dataset.open(tmp_path / "dataset.csv").optional == ("T1",)
    cases = [{"case": "x", "T1": "files/m1-T1.nii.gz", "label": "files/m1-truth.nii.gz"}]
    cases.append({"case": "y", "FLAIR": "files/m2-FLAIR.nii.gz", "label": "files/m2-truth.nii.gz"})
    content = {"channels": ["T1", "FLAIR"], "optional": ["T1", "FLAIR"], "cases": cases}
    content["labels"] = {"background": 0, "liver": 1, "tumour": 2}
    (tmp_path / "channels.json").unlink()
    small.put_json(tmp_path / "own.json", content)
    dataset = Dataset.open(tmp_path / "own.json")
    assert dataset.optional == ("T1", "FLAIR")
    assert dataset.scan(dataset.case("y")).channels == ("FLAIR",)


def test_a_pointer_manifest_takes_what_lies_beside_the_images(lacking, small, tmp_path):
    small.put_json(tmp_path / "points.json", {"folder": str(lacking)})
    assert Dataset.open(tmp_path / "points.json").optional == ("FLAIR",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"optional": ["PD"]}, "PD is said to be optional, but is no channel; the channels are T1, FLAIR"),
        ({"optional": "FLAIR"}, "optional is a list of channels that a case may lack, got 'FLAIR'"),
        ({"may_lack": ["FLAIR"]}, "unknown may_lack; expected"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(lacking, small, content, said):
    small.put_json(lacking / "channels.json", content)
    with pytest.raises(DataError, match=said):
        Dataset.open(lacking)


def test_a_case_with_no_channel_at_all_is_refused(lacking, small):
    (lacking / "imagesTr" / "b_0000.nii.gz").unlink()
    small.put_json(lacking / "channels.json", {"optional": ["T1", "FLAIR"]})
    dataset = Dataset.open(lacking)
    case = dataset.case("b")
    assert dataset.scan(case).channels == ("FLAIR",)
    with pytest.raises(DataError, match="T1 and FLAIR is missing"):
        dataset.scan(type(case)(case.id, (None, None), case.labels))


def test_it_is_the_same_dataset_when_written_as_nnunet(lacking, tmp_path):
    dataset = Dataset.open(lacking)
    again = Dataset.open(write_nnunet(dataset, tmp_path / "written"))
    assert again.optional == dataset.optional
    assert again.missing(again.case("a")) == ("FLAIR",)
    assert (again.scan(again.case("a")).array == dataset.scan(dataset.case("a")).array).all()
