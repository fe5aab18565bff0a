import csv
import io

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation.follow_up import (
    FollowUp,
    FollowUpWishes,
    Repeatability,
    compare_visits,
    measure_repeatability,
    read_days,
)
from delineate.io import write_labels
from delineate.io.disk import write_json
from delineate.space import Geometry, LabelMap, LabelSchema

SCHEMA = LabelSchema.of("lesion", "node")


def save(path, length, *, node=0, spacing=(1.0, 1.0, 2.0)):
    """A lesion of 12 x `length` x 3 voxels, and a node of `node` x 12 x 1."""
    grid = Geometry((40, 40, 12), np.diag([*spacing, 1.0]))
    array = np.zeros(grid.shape, np.uint8)
    array[3:15, 4 : 4 + length, 4:7] = 1
    array[20 : 20 + node, 4:16, 5] = 2
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(LabelMap(array, grid, SCHEMA), path)


@pytest.fixture
def folders(tmp_path):
    for name, before, after in (("ann", 20, 30), ("bob", 20, 10), ("cid", 20, 21)):
        save(tmp_path / "before" / f"{name}.nii.gz", before, node=10)
        save(tmp_path / "after" / f"{name}.nii.gz", after, node=10)
    write_json(tmp_path / "labels.json", {"background": 0, "lesion": 1, "node": 2})
    return tmp_path / "before", tmp_path / "after"


def test_every_structure_of_every_case_is_compared(folders):
    error = {"*": Repeatability.given("20%")}
    found = compare_visits(*folders, FollowUpWishes(repeatability=error, days=365.25))
    verdicts = {change.case: change.verdict for change in found.changes if change.structure == "lesion"}
    assert verdicts == {"ann": "grew", "bob": "shrank", "cid": "no change beyond measurement error"}
    assert all(c.share == 0 for c in found.changes if c.structure == "node")
    ann = found.changes[0]
    assert ann.before.volume_ml == pytest.approx(12 * 20 * 3 * 0.002)
    assert ann.share_per_year == pytest.approx(0.5)
    assert found.responses == ()
    assert FollowUp.from_json(found.to_json(), where="here") == found


def test_the_second_visit_may_be_on_another_grid(tmp_path):
    save(tmp_path / "a.nii.gz", 20)
    save(tmp_path / "b.nii.gz", 10, spacing=(1.0, 2.0, 2.0))
    found = compare_visits(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    assert found.changes[0].share == pytest.approx(0)
    assert found.changes[0].verdict == "not judged"
    assert "No repeatability was given, so no change is judged." in found.to_markdown()
    assert "nobody says what the values" in found.notes[0]


def test_targets_have_a_response(folders):
    wishes = FollowUpWishes(targets=("lesion",), nodes=("node",))
    found = compare_visits(*folders, wishes)
    assert {r.case: r.category for r in found.responses} == {"ann": "PD", "bob": "SD", "cid": "SD"}
    ann = found.responses[0]
    assert [t.is_node for t in ann.targets] == [False, True]
    assert ann.targets[0].after_mm == pytest.approx(np.hypot(30, 11), abs=1)
    text = found.to_markdown()
    assert "| ann |" in text
    assert "| PD |" in text
    assert "Response of target lesions by RECIST 1.1" in text
    assert "node: " in text  # 10 mm is no measurable node


def test_targets_that_appear_or_were_never_there_are_told_apart(folders, tmp_path):
    before, after = folders
    save(before / "new.nii.gz", 20)
    save(after / "new.nii.gz", 20, node=12)
    save(before / "none.nii.gz", 0)
    save(after / "none.nii.gz", 0)
    found = compare_visits(before, after, FollowUpWishes(targets=("lesion",), nodes=("node",)))
    assert [t.name for t in next(r for r in found.responses if r.case == "new").targets] == ["lesion"]
    assert "new: node was not there before; a new lesion makes the response PD" in found.notes
    assert "none: no target lesion is there before, so there is no response" in found.notes
    assert "none" not in {r.case for r in found.responses}


def test_the_table_has_a_line_for_each_change(folders):
    error = {"lesion": Repeatability.given("0.1ml")}
    found = compare_visits(*folders, FollowUpWishes(repeatability=error, days=100, targets=("lesion",)))
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert len(rows) == 6
    assert float(rows[0]["change_ml"]) == pytest.approx(0.72)
    assert float(rows[0]["change_ml_low"]) == pytest.approx(0.62)
    assert float(rows[0]["after_long_mm"]) > float(rows[0]["before_long_mm"])
    assert rows[1]["change_ml_low"] == rows[1]["before_long_mm"] == ""
    assert rows[1]["verdict"] == "not judged"
    assert "- within measurement error, lesion: -0.1 to +0.1 ml" in found.to_markdown()


def test_cases_of_one_visit_only_are_noted(folders):
    before, after = folders
    save(before / "dan.nii.gz", 20)
    save(after / "eve.nii.gz", 20)
    found = compare_visits(before, after)
    assert {change.case for change in found.changes} == {"ann", "bob", "cid"}
    assert "only in before: dan; left out" in found.notes
    assert "only in after: eve; left out" in found.notes


def test_folders_without_a_common_name_are_refused(folders, tmp_path):
    save(tmp_path / "other" / "zoe.nii.gz", 20)
    with pytest.raises(
        DataError, match=r"(?s)visits are matched by name.*before  ann, bob, cid.*after   zoe"
    ):
        compare_visits(folders[0], tmp_path / "other")


def test_a_target_that_is_no_label_is_refused(folders):
    with pytest.raises(DataError, match="no structure is called tumour; there are lesion, node"):
        compare_visits(*folders, FollowUpWishes(targets=("tumour",)))


# --- repeatability and dates


def test_two_readings_of_the_same_scans_say_how_repeatable_they_are(tmp_path):
    write_json(tmp_path / "labels.json", {"background": 0, "lesion": 1, "node": 2})
    for n, (one, other) in enumerate(((20, 22), (20, 19), (30, 30), (12, 13))):
        save(tmp_path / "first" / f"{n}.nii.gz", one)
        save(tmp_path / "second" / f"{n}.nii.gz", other)
    seen = []
    found = measure_repeatability(
        tmp_path / "first", tmp_path / "second", progress=lambda done, total, what: seen.append(what)
    )
    assert list(found) == ["lesion"]
    pairs = np.log([(20, 22), (20, 19), (30, 30), (12, 13)])
    assert found["lesion"].sd == pytest.approx(np.sqrt((np.diff(pairs) ** 2 / 2).mean()))
    assert found["lesion"].source == "lesion in first and second"
    assert seen == ["0", "1", "2", "3"]


def test_readings_without_a_common_structure_are_refused(tmp_path):
    write_json(tmp_path / "labels.json", {"background": 0, "lesion": 1, "node": 2})
    save(tmp_path / "first" / "a.nii.gz", 0, node=2)
    save(tmp_path / "second" / "a.nii.gz", 3)
    with pytest.raises(DataError, match="first and second: no structure is in both files of any case"):
        measure_repeatability(tmp_path / "first", tmp_path / "second")


def test_days_are_counted_between_dates(tmp_path):
    file = tmp_path / "visits.csv"
    file.write_text("case,before,after\nann,2024-01-31,2024-03-01\nbob,2023-01-01,2024-01-01\n")
    assert read_days(file) == {"ann": 30, "bob": 365}


def test_days_by_case_are_used_where_they_are_known(folders):
    found = compare_visits(*folders, FollowUpWishes(days={"ann": 36.525}))
    rates = {c.case: c.ml_per_year for c in found.changes if c.structure == "lesion"}
    assert rates["ann"] == pytest.approx(7.2)
    assert rates["bob"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,before\na,2024-01-01\n", "has no column after. It needs the columns case, before and after"),
        ("case,x\na,1\n", "has no column before and after"),
        ("case,before,after\na,2024-01-01,1.2.2024\n", "line 2: '1.2.2024' is no date in after"),
        ("case,before,after\na,,2024-01-01\n", "line 2: '' is no date in before"),
    ],
)
def test_dates_that_cannot_be_read_are_refused(tmp_path, text, message):
    file = tmp_path / "visits.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_days(file)
