"""Detection report: FROC by hand and by MONAI, average precision, intervals, files."""

import csv
import io

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation import DetectionReport, DetectionRules, InstanceMap, evaluate_detection
from delineate.space import Geometry


def scan(lesions, hits, alarms, size=200):
    """Lesions in a row; some hit by candidates of a score, and false alarms further on."""
    grid = Geometry((size, 1, 1), np.eye(4))
    reference, candidates = np.zeros((2, *grid.shape), int)
    scores = {}
    for n in range(lesions):
        reference[2 * n] = n + 1
        if n in hits:
            candidates[2 * n] = 1000 + n
            scores[1000 + n] = hits[n]
    for n, score in enumerate(alarms):
        candidates[size - 1 - 2 * n] = 2000 + n
        scores[2000 + n] = score
    return InstanceMap(reference, grid), InstanceMap(candidates, grid, scores=scores)


SCANS = {
    "a": scan(2, {0: 0.9, 1: 0.6}, [0.7]),
    "b": scan(1, {}, [0.5, 0.2]),
    "c": scan(1, {0: 0.3}, []),
    "d": scan(0, {}, [0.8]),
}


@pytest.fixture(scope="module")
def report():
    return evaluate_detection(list(SCANS), SCANS.__getitem__, groups={"d": "a"})


def test_the_curve_by_hand(report):
    assert [(p.score, p.false_positives, p.sensitivity) for p in report.curve] == [
        (0.9, 0, 0.25),
        (0.8, 0.25, 0.25),
        (0.7, 0.5, 0.25),
        (0.6, 0.5, 0.5),
        (0.5, 0.75, 0.5),
        (0.3, 0.75, 0.75),
        (0.2, 1, 0.75),
    ]
    at = {point.rate: point.sensitivity.value for point in report.rates}
    assert at == {0.125: 0.25, 0.25: 0.25, 0.5: 0.5, 1: 0.75, 2: 0.75, 4: 0.75, 8: 0.75}
    assert report.cpm.value == pytest.approx(np.mean(list(at.values())))
    assert report.candidates == 7


def test_average_precision_by_hand(report):
    assert report.average_precision.value == pytest.approx((1 + 2 / 4 + 3 / 6) / 4)
    coco = evaluate_detection(list(SCANS), SCANS.__getitem__, rules=DetectionRules(area="101 points"))
    assert coco.average_precision.value == pytest.approx((26 * 1 + 25 * 0.5 + 25 * 0.5) / 101)


def test_intervals_hold_what_was_measured(report):
    for found in (report.cpm, report.average_precision, *(point.sensitivity for point in report.rates)):
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_every_lesion_keeps_the_score_that_found_it(report):
    assert [(hit.case, hit.lesion, hit.score) for hit in report.lesions] == [
        ("a", 1, 0.9),
        ("a", 2, 0.6),
        ("b", 1, None),
        ("c", 1, 0.3),
    ]
    assert {hit.volume_ml for hit in report.lesions} == {0.001}


@pytest.mark.parametrize("seed", range(20))
def test_monai_says_the_same(seed):
    froc = pytest.importorskip("monai.metrics.froc")
    rng = np.random.default_rng(seed)
    scans, found, false, lesions = {}, [], [], 0
    for n in range(6):
        count = int(rng.integers(1, 8))
        hits = {k: round(0.01 + float(rng.random()), 2) for k in range(1, count) if rng.random() < 0.7}
        alarms = np.round(0.01 + 0.8 * rng.random(rng.integers(0, 12)), 2).tolist()
        scans[f"{n}"] = scan(count, hits, alarms)
        lesions += count
        # MONAI leaves out the lowest score: here the 0 of the lesion of each scan that is never hit.
        found += [hits.get(k, 0.0) for k in range(count)]
        false += alarms
    rates = (0.25, 0.5, 1, 2, 4, 8)
    curve = froc.compute_froc_curve_data(np.array(false), np.array(found), lesions, len(scans))
    report = evaluate_detection(list(scans), scans.__getitem__, rules=DetectionRules(rates=rates))
    assert report.cpm.value == pytest.approx(froc.compute_froc_score(*curve, rates), abs=1e-9)


def test_without_lesions_there_is_nothing_to_find():
    pairs = {"a": scan(0, {}, [0.4]), "b": scan(0, {}, [])}
    report = evaluate_detection(list(pairs), pairs.__getitem__)
    assert report.cpm.value is report.average_precision.value is None
    assert report.curve == report.lesions == ()
    assert "| **mean (CPM)** | - |" in report.to_markdown()


def test_without_candidates_nothing_is_found():
    report = evaluate_detection(["a"], lambda _: scan(3, {}, []))
    assert report.cpm.value == report.average_precision.value == 0
    assert report.cpm.low is None  # one patient


def test_the_report_lives_in_files(report):
    assert DetectionReport.from_json(report.to_json(), where="detection.json") == report
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert rows[3] == {"score": "0.6", "false_positives_per_scan": "0.5", "sensitivity": "0.5"}
    text = report.to_markdown()
    assert "4 lesions in 4 scans; 7 candidates hit 3 of them (IoU > 0.1)." in text
    assert "| 0.5 | 0.500 [" in text


def test_the_same_report_whatever_the_threads(report):
    seen = []
    again = evaluate_detection(
        list(SCANS),
        SCANS.__getitem__,
        groups={"d": "a"},
        workers=2,
        progress=lambda done, total, case: seen.append((done, total, case)),
    )
    assert again == report
    assert seen == [(1, 4, "a"), (2, 4, "b"), (3, 4, "c"), (4, 4, "d")]


@pytest.mark.parametrize("cases", [[], ["a", "a"]])
def test_cases_without_names_of_their_own_are_refused(cases):
    with pytest.raises(DataError, match="expected cases with different names"):
        evaluate_detection(cases, SCANS.__getitem__)


def test_real_lesions_found_by_a_blurred_map(ms_lesions):
    """The blurred mask as a probability: large lesions are found first."""
    from scipy import ndimage

    from delineate.evaluation import find_candidates
    from delineate.space import LabelMap, LabelSchema, Volume

    mask, grid = ms_lesions
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), 1.0)
    lesions = InstanceMap.of_labels(LabelMap(mask.astype(np.uint8), grid, LabelSchema.of("lesion")))
    candidates = find_candidates(Volume(blurred[None], grid), threshold=0.05)
    report = evaluate_detection(["a"], lambda _: (lesions, candidates), rules=DetectionRules(hit=0.0))
    assert report.rates[-1].sensitivity.value == 1
    first = max(report.lesions, key=lambda hit: hit.score)
    assert first.volume_ml > np.median([hit.volume_ml for hit in report.lesions])
