import shutil

import numpy as np
import pytest

from delineate.dataset import CheckReport, Dataset, Splits, check
from delineate.dataset.check import by_value
from delineate.dataset.problem import error, note, warning
from delineate.dataset.splits import Fold
from delineate.space import Geometry

ENOUGH = tuple(f"c{n:02d}" for n in range(30))


def found(folder, **wishes):
    """The problems of a dataset as {kind: cases}, without those of every tiny dataset."""
    kinds = {}
    for problem in check(Dataset.open(folder), **wishes).problems:
        if problem.kind not in ("few-cases", "few-examples"):
            kinds.setdefault(problem.kind, set()).add(problem.case)
    return kinds


def message(folder, kind):
    return next(p for p in check(Dataset.open(folder)).problems if p.kind == kind)


def test_a_good_dataset_has_no_problem(small, tmp_path):
    report = check(Dataset.open(small.nnunet(tmp_path, names=ENOUGH, channels=("T1",))))
    assert report.problems == ()
    assert report.ok
    assert report.cases == 30
    assert report.lines() == (f"{tmp_path.name}: 30 cases in the layout 'nnunet', no problem",)


def test_every_case_is_looked_at_and_progress_is_told(small, tmp_path):
    told = []
    check(Dataset.open(small.nnunet(tmp_path)), workers=2, progress=lambda *step: told.append(step))
    assert told == [(1, 3, "a"), (2, 3, "b"), (3, 3, "c")]


def test_what_cannot_be_read_is_named_and_the_rest_is_still_checked(small, tmp_path):
    small.nnunet(tmp_path, names=("a", "b", "c", "d"))
    whole = (tmp_path / "imagesTr" / "a_0001.nii.gz").read_bytes()
    (tmp_path / "imagesTr" / "a_0001.nii.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "labelsTr" / "b.nii.gz").write_bytes(b"nothing")
    small.put_labels(tmp_path / "labelsTr" / "c.nii.gz", small.blocks((1, 9)))
    assert found(tmp_path) == {"unreadable": {"a", "b"}, "label-values": {"c"}}


def test_grids_of_channels_and_of_labels_are_compared(small, tmp_path):
    small.nnunet(tmp_path)
    small.put(tmp_path / "imagesTr" / "a_0001.nii.gz", small.voxels(1, (8, 7, 5)))
    moved = small.grid(origin=(0, 3.0, 0))
    small.put_labels(tmp_path / "labelsTr" / "b.nii.gz", small.blocks(), moved)
    assert found(tmp_path) == {"channel-grid": {"a"}, "label-grid": {"b"}}
    problem = message(tmp_path, "label-grid")
    assert problem.message.startswith("b: labels and image are on different grids: the same 8 x 7 x 6 voxels")
    assert "labels.resampled(scan.geometry)" in problem.remedy


def test_missing_channels_and_wrong_numbers_of_channels_are_named(small, tmp_path):
    small.nnunet(tmp_path)
    (tmp_path / "imagesTr" / "a_0001.nii.gz").unlink()
    small.put(tmp_path / "imagesTr" / "b_0001.nii.gz", np.stack([small.voxels(1), small.voxels(2)]))
    assert found(tmp_path) == {"missing-channel": {"a"}, "channel-count": {"b"}}
    assert message(tmp_path, "missing-channel").message.startswith(
        "a: FLAIR is missing; the channels are T1, FLAIR"
    )


def test_values_that_are_no_numbers_are_counted(small, tmp_path):
    small.nnunet(tmp_path, channels=("T1",))
    scan = small.voxels(3).astype(np.float32)
    scan[0, 0, :2] = np.nan
    scan[1, 1, 1] = np.inf
    small.put(tmp_path / "imagesTr" / "b_0000.nii.gz", scan)
    assert found(tmp_path) == {"not-finite": {"b"}}
    assert "b: 3 voxels are NaN or infinite" in message(tmp_path, "not-finite").message


def test_constant_channels_and_empty_labels_are_worth_a_look(small, tmp_path):
    small.nnunet(tmp_path, channels=("T1",))
    small.put(tmp_path / "imagesTr" / "a_0000.nii.gz", np.full(small.SHAPE, 7, np.int16))
    small.put_labels(tmp_path / "labelsTr" / "b.nii.gz", np.zeros(small.SHAPE, np.uint8))
    assert found(tmp_path) == {"constant-channel": {"a"}, "empty-label": {"b"}}
    assert check(Dataset.open(tmp_path)).ok


def test_labels_of_nothing_but_ignored_voxels_are_empty(small, tmp_path):
    labels = {"background": 0, "liver": 1, "ignore": 2}
    small.nnunet(tmp_path, channels=("T1",), labels=labels)
    small.put_labels(tmp_path / "labelsTr" / "a.nii.gz", small.blocks((2,)))
    assert found(tmp_path) == {"empty-label": {"a"}}


def test_objects_in_several_pieces_are_named(small, tmp_path):
    small.pictures(tmp_path, values=(1, 2, 1), table={"background": 0, "cell": "instances"})
    assert "p1: 1 object in several pieces (1)" in message(tmp_path, "broken-object").message
    small.put_json(tmp_path / "labels.json", {"background": 0, "cell": "nonzero"})
    assert "broken-object" not in found(tmp_path)


def test_labels_stored_as_reals_are_noted(small, tmp_path):
    small.nnunet(tmp_path, channels=("T1",))
    small.put(tmp_path / "labelsTr" / "a.nii.gz", small.blocks().astype(np.float32))
    small.put(tmp_path / "labelsTr" / "b.nii.gz", small.blocks() * np.float32(0.5))
    assert found(tmp_path) == {"float-labels": {None}, "unreadable": {"b"}}
    assert message(tmp_path, "float-labels").message == "1 case: labels were stored as float32 (a)."
    assert "no whole numbers" in message(tmp_path, "unreadable").message


def test_too_few_cases_and_examples_are_a_warning(small, tmp_path):
    small.nnunet(tmp_path, names=ENOUGH[:12], channels=("T1",))
    for name in ENOUGH[:3]:
        small.put_labels(tmp_path / "labelsTr" / f"{name}.nii.gz", small.blocks((1,)))
    report = check(Dataset.open(tmp_path))
    assert report.ok
    assert [problem.kind for problem in report.problems] == ["few-cases", "few-examples"]
    assert report.problems[0].message.startswith("12 labelled cases; with fewer than 30")
    assert report.problems[1].message.startswith("tumour: only 9 cases hold it (c03, c04,")


def test_a_structure_that_nobody_has_is_named(small, tmp_path):
    labels = {"background": 0, "liver": 1, "tumour": 2, "cyst": 3}
    small.nnunet(tmp_path, names=ENOUGH[:11], channels=("T1",), labels=labels)
    report = check(Dataset.open(tmp_path))
    assert "cyst: only 0 cases hold it; with fewer" in report.problems[1].message


def test_a_dataset_without_labels_cannot_train(small, tmp_path):
    small.nnunet(tmp_path, names=("a",), channels=("T1",), numTraining=0)
    (tmp_path / "labelsTr" / "a.nii.gz").unlink()
    report = check(Dataset.open(tmp_path))
    assert {problem.kind for problem in report.errors} == {"no-cases", "unlabelled-image"}


def test_odd_spacings_and_mixed_orientations_are_seen(small, tmp_path):
    small.nnunet(tmp_path, channels=("T1",), names=ENOUGH[:5])
    for folder, put, array in (
        ("imagesTr", small.put, small.voxels(9)),
        ("labelsTr", small.put_labels, small.blocks()),
    ):
        end = "_0000" if folder == "imagesTr" else ""
        put(tmp_path / folder / f"c00{end}.nii.gz", array, small.grid(spacing=(0.1, 0.1, 0.2)))
        put(tmp_path / folder / f"c01{end}.nii.gz", array, Geometry(small.SHAPE, np.diag([-1.0, -1, 2, 1])))
    assert {k: v for k, v in found(tmp_path).items() if not k.startswith("leak")} == {
        "spacing-outlier": {"c00"},
        "orientation-mix": {None},
    }
    assert (
        "voxels of 0.1 x 0.1 x 0.2 mm; the median edges are 1 x 1 x 2 mm"
        in message(tmp_path, "spacing-outlier").message
    )


def test_names_that_a_file_system_may_confuse_are_refused(small, tmp_path):
    small.nnunet(tmp_path, names=("a", "A"), channels=("T1",))
    assert found(tmp_path) == {"duplicate-id": {"a"}} or found(tmp_path) == {"duplicate-id": {"A"}}


def test_what_was_decided_while_opening_is_noted(small, tmp_path):
    small.brats(tmp_path, names=("BraTS-GLI-00005-000", "BraTS-GLI-00005-001"))
    problem = message(tmp_path, "opening")
    assert (problem.severity, problem.message) == ("note", "patients were taken from the case names.")


def test_leaks_are_part_of_the_check(small, tmp_path):
    small.nnunet(tmp_path, channels=("T1",))
    shutil.copyfile(tmp_path / "imagesTr" / "a_0000.nii.gz", tmp_path / "imagesTr" / "b_0000.nii.gz")
    assert found(tmp_path) == {"leak-identical": {"a"}}
    together = Splits(mode="given", folds=(Fold(train=("a", "b"), validation=("c",)),))
    assert found(tmp_path, splits=together) == {}


def test_stray_labels_say_whether_they_are_of_another_dataset(small, tmp_path):
    small.nnunet(tmp_path, channels=("T1",))
    small.put_labels(tmp_path / "labelsTr" / "near.nii.gz", small.blocks())
    small.put_labels(tmp_path / "labelsTr" / "far.nii.gz", small.blocks((1,), (60, 50, 5)))
    (tmp_path / "labelsTr" / "torn.nii.gz").write_bytes(b"x")
    orphans = {p.case: p.message for p in check(Dataset.open(tmp_path)).problems if p.kind == "orphan-label"}
    assert "8 x 7 x 6 voxels.\n" in orphans["near"]
    assert "60 x 50 x 5 voxels where the images have 8 x 7 x 6: they seem to belong" in orphans["far"]
    assert "cannot be read" in orphans["torn"]


def test_stray_labels_without_any_image_are_still_named(small, tmp_path):
    small.nnunet(tmp_path, names=("a",), channels=("T1",))
    (tmp_path / "imagesTr" / "a_0000.nii.gz").write_bytes(b"x")
    small.put_labels(tmp_path / "labelsTr" / "stray.nii.gz", small.blocks())
    assert found(tmp_path) == {"unreadable": {"a"}, "orphan-label": {"stray"}}


def test_voxels_are_counted_by_value():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1, :2] = 3
    labels[2, 0, 0] = 200
    assert by_value(labels) == {0: 107, 3: 12, 200: 1}


def test_the_report_is_grouped_by_kind_and_says_each_remedy_once():
    problems = [error("orphan-label", f"c{n}", f"c{n}: stray", "Remove it.") for n in range(12)]
    problems += [warning("few-cases", None, "few\n  really", "Label more."), note("reading", None, "seen")]
    report = CheckReport(dataset="Liver", cases=40, problems=tuple(problems))
    assert not report.ok
    assert len(report.errors) == 12
    lines = report.lines(shown=3)
    assert lines[0] == "Liver: 40 cases, 12 errors, 1 warning, 1 note"
    assert lines[2:8] == (
        "error  orphan-label  (12)",
        "  c0: stray",
        "  c1: stray",
        "  c2: stray",
        "    -> Remove it.",
        "  ... and 9 more",
    )
    assert "  really" in "".join(lines)
    assert sum("stray" in line for line in report.lines(shown=None)) == 12


def test_a_report_survives_being_written(tmp_path):
    report = CheckReport(dataset="x", cases=1, problems=(note("reading", "a", "b"),))
    assert CheckReport.from_json(report.to_json(), where="x") == report


def planted(shared_data, folder, faults):
    """The real hippocampus with files of `broken` planted into it."""
    source = shared_data / "hippocampus"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir()
        for path in (source / part).iterdir():
            (folder / part / path.name).symlink_to(path)
    shutil.copyfile(source / "dataset.json", folder / "dataset.json")
    for broken, place in faults.items():
        (folder / place).symlink_to(source / "broken" / broken)
    return folder


def test_the_three_planted_faults_of_the_hippocampus_are_each_named(shared_data, tmp_path):
    faults = {
        "label_hippocampus_010.nii.gz": "labelsTr/hippocampus_010.nii.gz",
        "image_hippocampus_118.nii.gz": "imagesTr/hippocampus_118.nii.gz",
        "label_hippocampus_281_CT512x512x94.nii.gz": "labelsTr/hippocampus_281.nii.gz",
    }
    report = check(Dataset.open(planted(shared_data, tmp_path, faults)))
    named = {problem.case: problem for problem in report.errors}
    assert set(named) == {"hippocampus_010", "hippocampus_118", "hippocampus_281"}
    assert named["hippocampus_010"].kind == "orphan-label"
    assert "36 x 50 x 31 voxels.\n" in named["hippocampus_010"].message
    assert named["hippocampus_118"].kind == "unlabelled-image"
    assert named["hippocampus_281"].kind == "orphan-label"
    assert (
        "512 x 512 x 94 voxels where the images have 31-43 x 40-59 x 24-47: they seem to belong to another"
        in (named["hippocampus_281"].message)
    )


def test_the_real_hippocampus_is_clean_and_leaks_nothing(shared_data):
    report = check(Dataset.open(shared_data / "hippocampus"))
    assert report.cases == 220
    assert [problem.message for problem in report.problems] == [
        "2 cases: labels were stored as float32 (hippocampus_003, hippocampus_243)."
    ]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("wbc_cells", {"background": 0, "cytoplasm": 128, "nucleus": 255}),
        pytest.param("dsb2018", {"background": 0, "nucleus": "nonzero"}, marks=pytest.mark.slow),
    ],
)
def test_real_pictures_are_clean_and_leak_nothing(shared_data, small, tmp_path, name, labels):
    small.put_json(tmp_path / "set.json", {"folder": str(shared_data / name), "labels": labels})
    report = check(Dataset.open(tmp_path / "set.json"))
    assert {problem.kind for problem in report.problems} == {"reading"}
