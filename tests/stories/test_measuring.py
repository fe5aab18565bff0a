"""A fold of 44 hippocampi, measured by every metric as the predictions of an unknown tool."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from delineate.io import read_label_values, write_labels
from delineate.space import LabelMap, LabelSchema

pytestmark = pytest.mark.slow

SCHEMA = LabelSchema.of("Anterior", "Posterior")
CASES = 44


def drawn_otherwise(array, rng):
    """What another person might have drawn: a border that wanders, sometimes a piece too much or too few."""
    noise = ndimage.gaussian_filter(rng.normal(size=array.shape), 1.5)
    noise /= noise.std()
    result = np.zeros_like(array)
    for value in (1, 2):
        mask = array == value
        depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
        result[(depth + 1.2 * noise > 0) & (result == 0)] = value
    if rng.uniform() < 0.2:
        corner = tuple(int(rng.integers(0, n - 3)) for n in array.shape)
        result[tuple(slice(c, c + 3) for c in corner)] = 1
    return result


@pytest.fixture(scope="module")
def places(shared_data, tmp_path_factory):
    """References and predictions, in two folders."""
    root = tmp_path_factory.mktemp("fold")
    files = sorted((shared_data / "hippocampus" / "labelsTr").glob("hippocampus_*.nii.gz"))[:CASES]
    rng = np.random.default_rng(44)
    sites = ["case,patient,site"]
    for number, file in enumerate(files):
        labels = read_label_values(file)
        for name, array in (("people", labels.array), ("tool", drawn_otherwise(labels.array, rng))):
            write_labels(LabelMap(array.astype(np.uint8), labels.geometry, SCHEMA), root / name / file.name)
        sites.append(
            f"{file.name.removesuffix('.nii.gz')},P{number * 3 // 4},{'north' if number % 3 else 'south'}"
        )
    (root / "labels.json").write_text(json.dumps({"background": 0, "Anterior": 1, "Posterior": 2}))
    (root / "cases.csv").write_text("\n".join(sites) + "\n")
    gate = "structure,metric,threshold,source\nAnterior,dice,0.8,our wish\nPosterior,dice,0.99,our wish\n"
    (root / "gate.csv").write_text(gate)
    return root


def delineate(*words):
    return subprocess.run(
        [sys.executable, "-m", "delineate", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def measured(places):
    """All that `delineate evaluate` says, with every option that adds to it."""
    done = delineate(
        "evaluate", places / "people", places / "tool", "-o", places / "out", "--metrics", "all",
        "--cases", places / "cases.csv", "--by", "site", "--by", "size", "--gate", places / "gate.csv",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr  # Posterior is far from .99
    return places / "out"


def test_every_case_structure_and_metric_has_its_row(measured):
    rows = list(csv.DictReader((measured / "scores.csv").read_text().splitlines()))
    metrics = {row["metric"] for row in rows}
    assert len(rows) == CASES * 2 * len(metrics)
    assert {"dice", "hd95", "nsd", "cldice", "boundary_iou", "lesion_dice"} <= metrics
    assert len({row["patient"] for row in rows}) == CASES * 3 // 4


def test_the_verdicts_are_those_that_the_thresholds_deserve(measured):
    verdict = json.loads((measured / "gate.json").read_text())
    outcomes = {j["structure"]: j["outcome"] for j in verdict["judgements"]}
    assert outcomes == {"Anterior": "PASS", "Posterior": "FAIL"}


def test_the_page_shows_all_of_it(measured):
    page = (measured / "report.html").read_text()
    for heading in ("How good", "Is it good enough?", "Is it as good for everybody?", "Volumes", "Cases"):
        assert f"<h2>{heading}</h2>" in page
    assert page.count("data:image/png") == 6


def test_the_same_fold_measured_against_itself_is_no_worse_than_it_is(places):
    same = places / "same"
    done = delineate("-q", "evaluate", places / "people", places / "people", "-o", same)
    assert done.returncode == 0, done.stderr
    report = json.loads((same / "report.json").read_text())
    dice = [row["value"] for row in report["rows"] if row["metric"] == "dice"]
    assert set(dice) == {1.0}
    compared = delineate("-q", "compare", same, places / "out", "-o", places / "compared")
    assert compared.returncode == 0, compared.stderr
    assert (places / "compared" / "comparison.json").is_file()
