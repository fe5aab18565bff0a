"""Lesion report: lesions of many cases in one pool, by case, by size, and in files."""

import csv
import io

import numpy as np
import pytest
from scipy import ndimage

from delineate.errors import DataError, GeometryError
from delineate.evaluation import LesionReport, LesionRules, Rules, evaluate, evaluate_lesions
from delineate.io import read_label_values
from delineate.space import Geometry, Label, LabelMap, LabelSchema, Region

GRID = Geometry((60, 9, 9), np.diag([2.0, 1.0, 1.0, 1.0]))
SCHEMA = LabelSchema.of("lesion")


def labels(*lengths, schema=SCHEMA):
    """Lesions of so many voxels, ten apart; 0 leaves a place free."""
    array = np.zeros(GRID.shape, np.uint8)
    for place, length in enumerate(lengths):
        array[10 * place : 10 * place + length, 4, 4] = 1
    return LabelMap(array, GRID, schema)


PAIRS = {
    "a": (labels(2, 4, 8), labels(2, 4, 0, 3)),
    "b": (labels(1), labels(0)),
    "c": (labels(0), labels(0)),
    "d": (labels(8, 8), labels(4, 8)),
}


@pytest.fixture(scope="module")
def report():
    return evaluate_lesions(list(PAIRS), PAIRS.__getitem__, groups={"b": "a"})


def test_all_lesions_are_in_one_pool(report):
    found = report.summary("lesion")
    assert (found.cases, found.without, found.lesions, found.found) == (4, 1, 6, 4)
    assert (found.components, found.invented) == (5, 1)
    assert found.recall.value == pytest.approx(4 / 6)
    assert found.precision.value == pytest.approx(4 / 5)
    assert found.f1.value == pytest.approx(2 * (4 / 6) * (4 / 5) / (4 / 6 + 4 / 5))
    assert found.recall.low <= found.recall.value <= found.recall.high


def test_lesions_stand_beside_voxels(report):
    found = report.summary("lesion")
    by_case = {row.case: (row.dice, row.lesion_dice) for row in report.rows}
    assert by_case["a"] == (pytest.approx(12 / 23), pytest.approx(2 / 4))
    assert by_case["b"] == (0, 0)
    assert by_case["c"] == (None, None)
    assert by_case["d"] == (pytest.approx(24 / 28), pytest.approx((8 / 12 + 1) / 2))
    assert found.dice.value == pytest.approx(np.mean([by_case[c][0] for c in "abd"]))
    assert found.lesion_dice.value == pytest.approx(np.mean([by_case[c][1] for c in "abd"]))


def test_the_means_are_those_of_the_measures(report):
    metrics = ("lesion_dice", "lesion_hd95", "dice", "lesion_recall")
    other = evaluate(list(PAIRS), PAIRS.__getitem__, groups={"b": "a"}, rules=Rules(metrics=metrics))
    for name in ("lesion_dice", "lesion_hd95", "dice"):
        mine, theirs = getattr(report.summary("lesion"), name), other.summary("lesion", name)
        assert (mine.value, mine.low, mine.high) == pytest.approx(
            (theirs.mean, theirs.ci_low, theirs.ci_high)
        )


def test_the_size_of_a_lesion_divides_them(report):
    bands = report.sizes
    assert sum(band.lesions for band in bands) == 6
    assert sum(band.found for band in bands) == 4
    assert [band.up_to_ml for band in bands][-1] is None
    rules = Rules(lesions=LesionRules(edges_ml=(0.005,)))
    small, large = evaluate_lesions(list(PAIRS), PAIRS.__getitem__, rules=rules).sizes
    assert (small.lesions, small.found, small.up_to_ml) == (2, 1, 0.005)
    assert (large.lesions, large.found, large.above_ml) == (4, 3, 0.005)
    assert large.lesion_dice.value == pytest.approx((1 + 0 + 8 / 12 + 1) / 4)


def test_every_lesion_and_every_component_is_in_a_file(report):
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert [row["case"] for row in rows] == ["a", "a", "a", "b", "d", "d"]
    assert rows[3]["patient"] == "a"
    assert [float(row["volume_ml"]) for row in rows] == pytest.approx(
        [0.004, 0.008, 0.016, 0.002, 0.016, 0.016]
    )
    assert [row["is_found"] for row in rows] == ["True", "True", "False", "False", "True", "True"]
    assert rows[0]["center_mm"] == "1.0 4.0 4.0"
    findings = list(csv.DictReader(io.StringIO(report.findings_csv())))
    assert [row["lesions"] for row in findings] == ["1", "2", "", "1", "2"]
    assert [row["is_invented"] for row in findings].count("True") == 1


def test_the_report_lives_in_a_file_and_is_read_by_people(report):
    assert LesionReport.from_json(report.to_json(), where="lesions.json") == report
    text = report.to_markdown()
    assert "| lesion | 4 | 6 | 4 | 5 | 1 | 0.667 [" in text
    assert "One lesion: 26 neighbours. Found: reached." in text


def test_few_lesions_are_not_divided():
    found = evaluate_lesions(["a"], lambda _: (labels(3), labels(3)))
    assert [(band.above_ml, band.up_to_ml, band.lesions) for band in found.sizes] == [(0, None, 1)]
    assert "| lesion | all | 1 | 1.000 | 1.000 |" in found.to_markdown()


def test_without_any_lesion_there_is_nothing_to_share():
    found = evaluate_lesions(["a", "b"], lambda _: (labels(), labels()))
    summary = found.summary("lesion")
    assert (summary.lesions, summary.without) == (0, 2)
    assert summary.recall.value is summary.f1.value is summary.lesion_dice.value is None
    assert "| lesion | - | - | - |" in found.to_markdown()


def test_every_region_has_lesions_of_its_own():
    both = (Label(value=1, name="core"), Label(value=2, name="oedema"))
    regions = (
        Region(name="whole", values=(1, 2), paints=2),
        Region(name="inner", values=(1,), paints=1),
    )
    schema = LabelSchema(labels=both, regions=regions)
    reference = labels(4, 4, schema=schema)
    reference.array[0, 4, 4] = 2
    found = evaluate_lesions(["a"], lambda _: (reference, reference))
    assert found.structures == ("whole", "inner")
    assert found.summary("inner").lesions == 2


def test_other_grids_are_refused_or_resampled():
    moved = LabelMap(labels(4).array, Geometry(GRID.shape, np.eye(4)), SCHEMA)
    with pytest.raises(GeometryError, match="a: reference and prediction are on different grids"):
        evaluate_lesions(["a"], lambda _: (labels(4), moved))
    found = evaluate_lesions(["a"], lambda _: (labels(4), moved), rules=Rules(regrid=True))
    assert found.summary("lesion").recall.value == 1


def test_cases_with_other_structures_are_refused():
    pairs = {"a": labels(3), "b": labels(3, schema=LabelSchema.of("tumour"))}
    with pytest.raises(DataError, match="b has other structures than a: tumour and lesion"):
        evaluate_lesions(list(pairs), lambda case: (pairs[case], pairs[case]))


@pytest.mark.parametrize("cases", [[], ["a", "a"]])
def test_cases_without_names_of_their_own_are_refused(cases):
    with pytest.raises(DataError, match="expected cases with different names"):
        evaluate_lesions(cases, PAIRS.__getitem__)


def test_a_structure_that_is_not_there_is_refused_by_name(report):
    with pytest.raises(DataError, match="no 'tumour'; its structures are lesion"):
        report.summary("tumour")


def test_the_same_report_whatever_the_threads(report):
    seen = []
    again = evaluate_lesions(
        list(PAIRS),
        PAIRS.__getitem__,
        groups={"b": "a"},
        workers=3,
        progress=lambda done, total, case: seen.append((done, total, case)),
    )
    assert again == report
    assert seen == [(1, 4, "a"), (2, 4, "b"), (3, 4, "c"), (4, 4, "d")]


# --- real data


def test_real_lesions_that_are_taken_away_are_those_that_are_missed(ms_lesions):
    mask, grid = ms_lesions
    numbers, count = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(numbers.ravel())[1:]
    small = np.flatnonzero(sizes <= np.median(sizes)) + 1
    reference = LabelMap(mask.astype(np.uint8), grid, SCHEMA)
    prediction = LabelMap((mask & ~np.isin(numbers, small)).astype(np.uint8), grid, SCHEMA)
    rules = Rules(lesions=LesionRules(edges_ml=(float(np.median(sizes)) / 1000,)))
    found = evaluate_lesions(["patient"], lambda _: (reference, prediction), rules=rules)
    assert [band.found for band in found.sizes] == [0, count - len(small)]
    assert found.summary("lesion").recall.value == pytest.approx(1 - len(small) / count)
    assert found.summary("lesion").dice.value > 0.9  # what voxels say of half of the lesions missed


def test_five_algorithms_against_their_fusion(shared_data):
    """Whole tumour, tumour core and enhancing tumour of a glioma by BraTS' rules."""
    folder = shared_data / "brain_tumour_mri" / "TCGA-DU-7294" / "TCGA-DU-7294_brainles"
    algorithms = sorted((folder / "segmentation").glob("*.nii.gz"))
    if not algorithms:
        pytest.skip("no tumours beside this checkout")
    names = ((1, "necrosis"), (2, "oedema"), (4, "enhancing"))
    schema = LabelSchema(
        labels=tuple(Label(value=value, name=name) for value, name in names),
        regions=(
            Region(name="WT", values=(1, 2, 4), paints=2),
            Region(name="TC", values=(1, 4), paints=1),
            Region(name="ET", values=(4,), paints=4),
        ),
    )

    def read(path):
        file = read_label_values(path)
        return LabelMap(file.array, file.geometry, schema)

    fused = read(folder / "fusion" / "mav.nii.gz")
    rules = Rules(lesions=LesionRules.brats("GLI"), empty="one")
    found = evaluate_lesions(
        [path.stem for path in algorithms[:2]],
        lambda name: (fused, read(folder / "segmentation" / f"{name}.gz")),
        rules=rules,
    )
    for row in found.rows:
        assert 0 <= row.lesion_dice <= 1
        assert row.lesion_dice <= row.dice + 1e-9 or row.lesions > 1
        assert row.found + row.missed == row.lesions
    whole = [row for row in found.rows if row.structure == "WT"]
    assert all(row.dice > 0.9 for row in whole)
