"""From pictures in which every nucleus has its number to a model that finds them in a new picture."""

import csv
import json

import numpy as np
import pytest

from delineate.dataset import Dataset
from delineate.errors import DataError, PlanError
from delineate.evaluation import InstanceMap, evaluate_instances, read_instances
from delineate.io import write_objects, write_volume
from delineate.io.disk import write_json
from delineate.networks import Model
from delineate.pipeline import PlanWishes, SegmentWishes, Unwatched, plan, run, segment
from delineate.pipeline.object_judge import ObjectJudge
from delineate.pipeline.run_folder import Run
from delineate.space.phantoms import nuclei

TABLE = {"background": 0, "nucleus": "instances"}
SMALL = {
    "batch": 2,
    "training.precision": "fp32",
    "training.validate_every": 2,
    "training.validation_batches": 1,
    "network.detector.width": 16,
    "network.detector.hidden": 32,
}


def written(folder, cases, *, size=48, count=9):
    """Pictures of nuclei, and maps of their ids."""
    for n in range(cases):
        scan, ids = nuclei(np.random.default_rng(n), size=size, count=count)
        write_volume(scan, folder / f"images/n{n:02d}.png")
        write_objects(ids, scan.geometry, folder / f"instances/n{n:02d}.png")
    write_json(folder / "labels.json", TABLE)
    return folder


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return written(tmp_path_factory.mktemp("objects") / "nuclei", 6)


@pytest.fixture(scope="module")
def finished(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("objects") / "run"
    report = run(raw, folder, PlanWishes(steps=2, network="mask_rcnn", by_hand=SMALL), Unwatched())
    return folder, report


def test_a_dataset_of_objects_is_recognised(raw, terminal):
    said = terminal.run("check", raw)
    assert said.returncode == 0, said.stderr
    (raw / "labels.json").unlink()
    refused = terminal.run("check", raw)
    write_json(raw / "labels.json", TABLE)
    assert refused.returncode == 1
    assert '"object": "instances"' in refused.stderr


def test_the_run_measures_objects_and_shows_them(finished):
    folder, report = finished
    assert {"pq", "aji", "ap", "ap_ranked", "ap_ranked@0.5"} <= set(report.metrics)
    assert report.counts[0].reference > 0
    kept = json.loads((folder / "evaluation/objects.json").read_text())
    assert len(kept["cases"]) == len(report.cases) == 2
    assert "PQ" in (folder / "evaluation/summary.md").read_text()
    page = (folder / "report.html").read_text()
    assert "tinted: what was found" in page
    assert "anchors" in page or "objects are" in page


def test_the_model_says_what_it_found_and_how_well(finished):
    model = Model.open(finished[0] / "model")
    assert model.plan.finds_objects
    assert "single objects" in model.card or "nucleus" in model.card


def test_new_pictures_get_a_map_of_objects_and_a_table(finished, raw, terminal, tmp_path):
    folder, _ = finished
    out = tmp_path / "found.png"
    said = terminal.run(
        "segment", folder / "model", raw / "images/n00.png", "-o", out, "--objects", "csv", "--sure", 0.05,
        "--device", "cpu",
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    found = read_instances(out)
    assert found.array.shape == (48, 48, 1)
    rows = list(csv.DictReader((tmp_path / "found_objects.csv").read_text().splitlines()))
    assert [int(row["id"]) for row in rows] == found.ids.tolist()
    assert [row["kind"] for row in rows] == ["nucleus"] * len(rows)
    assert sum(int(row["voxels"]) for row in rows) == (found.array > 0).sum()
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_the_table_may_be_json(finished, raw, tmp_path):
    how = SegmentWishes(objects="json", sure=0.05)
    pictures = [raw / "images"]
    files = segment(finished[0] / "model", pictures, tmp_path / "found", how, Unwatched())
    assert len(files) == 6
    told = json.loads((tmp_path / "found/n00_objects.json").read_text())
    assert told["map"] == "n00.png"
    assert [row["id"] for row in told["objects"]] == read_instances(tmp_path / "found/n00.png").ids.tolist()


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"fast": True}, "--fast: is about a label for each voxel"),
        ({"probabilities": True, "mirror": True}, "--mirror, --probabilities: is about"),
        ({"cleanup": False, "engine": "openvino", "memory_gb": 2.0}, "--no-cleanup, --engine, --memory-gb"),
    ],
)
def test_what_is_about_labels_is_refused(finished, raw, tmp_path, wishes, says):
    with pytest.raises(DataError, match=says):
        segment(finished[0] / "model", [raw / "images"], tmp_path, SegmentWishes(**wishes), Unwatched())


def test_pictures_that_cannot_be_read_are_named_and_the_others_are_done(finished, raw, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/broken.png").write_bytes(b"no picture")
    (tmp_path / "in/good.png").write_bytes((raw / "images/n01.png").read_bytes())
    with pytest.raises(DataError, match=r"1 of 2 cases could not be segmented:\n  broken"):
        segment(finished[0] / "model", [tmp_path / "in"], tmp_path / "out", SegmentWishes(), Unwatched())
    assert (tmp_path / "out/good.png").is_file()


def test_a_table_of_objects_is_refused_where_there_are_none(tiny_run, cohort, tmp_path):
    scan = next((cohort / "imagesTr").iterdir())
    how = SegmentWishes(objects="json")
    with pytest.raises(DataError, match="finds no single objects, so there is no table"):
        segment(tiny_run / "model", [scan], tmp_path / "x.nii.gz", how, Unwatched())


def test_labels_that_name_structures_are_refused_with_the_way_to_say_so(cohort, tmp_path):
    with pytest.raises(PlanError, match='"nucleus": "instances"'):
        plan(cohort, tmp_path / "run", PlanWishes(network="mask_rcnn"), Unwatched())


def test_what_was_found_is_kept_and_found_anew_only_by_other_weights(finished):
    folder, report = finished
    opened = Run(folder)
    judge = ObjectJudge(opened, opened.plan(), opened.dataset(), opened.splits(), "cpu", Unwatched())
    files = {file: file.stat().st_mtime_ns for file in folder.rglob("predictions/*_objects.json")}
    assert len(files) == 2
    assert judge.verdict() == report
    assert all(file.stat().st_mtime_ns == before for file, before in files.items())


@pytest.mark.slow
def test_touching_nuclei_are_told_apart_better_than_by_any_foreground(tmp_path):
    """PQ beside that of the connected pieces of the true foreground, which no semantic network can beat."""
    raw, folder = written(tmp_path / "raw", 24, size=56, count=14), tmp_path / "run"
    settings = {"training.validation_batches": 1, "batch": 3, "training.validate_every": 85}
    report = run(raw, folder, PlanWishes(steps=170, network="mask_rcnn", by_hand=settings), Unwatched())
    dataset = Dataset.open(raw)

    def pieces(case):
        labels = dataset.labels(dataset.case(case))
        ids = InstanceMap(dataset.objects(dataset.case(case)), labels.geometry)
        return ids, InstanceMap.of_labels(labels)

    most = evaluate_instances(report.cases, pieces)
    assert report.summary("pq").mean.value > most.summary("pq").mean.value


@pytest.mark.slow
def test_real_nuclei_are_found_after_a_few_steps(shared_data, tmp_path):
    source = shared_data / "dsb2018"
    names = sorted(path.name for path in (source / "images").iterdir())[:40:2]
    cases = [
        {"case": name[:8], "image": str(source / "images" / name), "label": str(source / "instances" / name)}
        for name in names
    ]
    write_json(tmp_path / "some.json", {"labels": TABLE, "cases": cases})
    small = {"training.validation_batches": 1, "batch": 2, "patch": [128, 128, 1]}
    report = run(
        tmp_path / "some.json",
        tmp_path / "run",
        PlanWishes(steps=40, network="mask_rcnn", by_hand=small),
        Unwatched(),
    )
    assert report.counts[0].reference > 50
    assert report.summary("pq").mean.value > 0.05
