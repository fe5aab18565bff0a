import numpy as np
import pytest

from delineate.evaluation import Rules, evaluate
from delineate.evaluation.volume_agreement import VolumeAgreement, VolumePair, volume_agreement, volume_table
from delineate.space import Geometry, LabelMap, LabelSchema


def pairs(reference, prediction, at_edge=()):
    return [
        VolumePair(case=f"case {n}", reference_ml=a, prediction_ml=b, at_edge=n in at_edge)
        for n, (a, b) in enumerate(zip(reference, prediction, strict=True))
    ]


def test_a_method_that_is_always_a_tenth_too_large_says_so():
    reference = np.array([10.0, 20, 40, 80])
    found = VolumeAgreement.of("liver", pairs(reference, 1.1 * reference))
    assert found.ml.bias == pytest.approx(3.75)
    assert found.relative.bias == pytest.approx(2 * 0.1 / 2.1)
    assert found.relative.sd == pytest.approx(0, abs=1e-12)
    assert found.icc.value < 1
    assert found.lin.value < 1
    assert "| liver | 4 | 3.75 [" in volume_table([found])


def test_cases_in_which_nothing_is_say_nothing_about_volumes():
    found = VolumeAgreement.of("cyst", pairs([0, 0, 5, 7, 0], [0, 0, 5, 6, 2]))
    assert found.both_empty == 2
    assert [pair.case for pair in found.pairs] == ["case 2", "case 3", "case 4"]
    assert found.ml.n == 3
    assert found.relative.upper is not None
    assert found.notes == ("2 cases without the structure in either are left out.",)


def test_cases_that_are_cut_off_stay_in_and_are_counted():
    found = VolumeAgreement.of("lung", pairs([10, 20, 30], [11, 19, 30], at_edge={1}))
    assert found.at_edge == 1
    assert found.ml.n == 3
    assert "cut off by the edge" in found.notes[0]


def test_several_scans_of_a_patient_are_held_against_the_intervals():
    found = VolumeAgreement.of("lung", pairs([10, 20, 30], [11, 19, 30]), patients=2)
    assert "3 cases are of 2 patients" in found.notes[0]


@pytest.mark.parametrize(
    ("reference", "prediction", "cells"),
    [
        ([], [], "| x | 0 | - | - | - | - | - | - |"),
        ([0.0], [0.0], "| x | 0 | - | - | - | - | - | - |"),
        ([2.0], [3.0], "| x | 1 | 1 | - | 40 | - | - | 0.000 |"),
        ([2.0, 2.0], [2.0, 2.0], "| x | 2 | 0 [0, 0] | 0 [0, 0] to 0 [0, 0] | 0 [0, 0] |"),
    ],
)
def test_few_or_equal_volumes_have_a_stated_result(reference, prediction, cells):
    assert cells in volume_table([VolumeAgreement.of("x", pairs(reference, prediction))])


def test_the_volumes_of_a_report_are_compared_structure_by_structure():
    schema, grid = LabelSchema.of("a", "b"), Geometry((10, 10, 10), np.diag([10.0, 10.0, 10.0, 1.0]))

    def of(size, *, start=2):
        array = np.zeros(grid.shape, np.uint8)
        array[start : start + size, 2:8, 2:8] = 1
        return LabelMap(array, grid, schema)

    cases = {"p1 first": (of(3), of(4)), "p1 second": (of(4), of(4)), "p2": (of(5, start=0), of(3))}
    report = evaluate(
        list(cases),
        cases.__getitem__,
        rules=Rules(metrics=("dice",)),
        groups={"p1 first": "p1", "p1 second": "p1"},
        rng=np.random.default_rng(0),
    )
    a, b = volume_agreement(report)
    assert a.ml.bias == pytest.approx(36 * (1 + 0 - 2) / 3)
    assert (a.patients, a.at_edge, a.both_empty) == (2, 1, 0)
    assert (b.pairs, b.both_empty, b.ml) == ((), 3, None)
    assert VolumeAgreement.from_json(a.to_json(), where="here") == a


def test_the_golden_boxes_differ_by_488_cubic_millimetres():
    schema, grid = LabelSchema.of("box"), Geometry((32, 32, 32), np.eye(4))
    arrays = np.zeros((2, 32, 32, 32), np.uint8)
    arrays[0, 8:18, 8:18, 8:18] = 1
    arrays[1, 9:17, 9:17, 9:17] = 1
    report = evaluate(
        ["C"],
        lambda _: tuple(LabelMap(array, grid, schema) for array in arrays),
        rules=Rules(metrics=("volume_error", "volume_error_absolute", "volume_error_relative")),
    )
    (found,) = volume_agreement(report)
    assert found.ml.bias * 1000 == pytest.approx(-488)
    assert report.values("box", "volume_error_absolute")["C"] * 1000 == pytest.approx(488)
    assert report.values("box", "volume_error_relative")["C"] == pytest.approx(-0.488)
