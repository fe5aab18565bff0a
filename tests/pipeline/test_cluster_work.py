"""What a worker does, without a cluster."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from delineate.io import read_label_values
from delineate.networks import Model
from delineate.pipeline import PlanWishes, Run, SegmentWishes, Unwatched, plan, prepare, segment
from delineate.pipeline.cluster_work import (
    HELD,
    CaseJob,
    ScanJob,
    made_file,
    made_from,
    prepare_one,
    segment_scan,
)


@pytest.fixture
def job(tmp_path, finished, balls_folder):
    scan = tmp_path / "ball.nii.gz"
    shutil.copy(balls_folder / "imagesTr" / "ball_02_0000.nii.gz", scan)
    return ScanJob(
        case="ball",
        images=(str(scan),),
        labels=str(tmp_path / "out" / "ball.nii.gz"),
        model=str(finished / "model"),
        digest=Model.open(finished / "model").manifest.digest(),
        how=SegmentWishes(),
    )


def test_a_worker_writes_what_one_machine_would_write(tmp_path, job, finished):
    answer = segment_scan(job, {})
    assert (answer.case, answer.failed, answer.kept) == ("ball", None, False)
    (alone,) = segment(
        finished / "model",
        [tmp_path / "ball.nii.gz"],
        tmp_path / "alone.nii.gz",
        SegmentWishes(),
        Unwatched(),
    )
    made = read_label_values(tmp_path / "out" / "ball.nii.gz")
    assert np.array_equal(made.array, read_label_values(alone).array)


def test_what_is_there_is_kept_and_what_changed_is_made_anew(tmp_path, job):
    held = {}
    segment_scan(job, held)
    file = tmp_path / "out" / "ball.nii.gz"
    before = file.stat().st_mtime_ns
    assert segment_scan(job, held).kept
    assert file.stat().st_mtime_ns == before
    assert not segment_scan(replace(job, how=SegmentWishes(cleanup=False)), held).kept
    (tmp_path / "ball.nii.gz").touch()
    assert not segment_scan(job, held).kept
    file.unlink()
    assert not segment_scan(job, held).kept
    made_file(file, "ball").unlink()  # killed between the labels and the word that they are done
    assert not segment_scan(job, held).kept


def test_a_digest_tells_other_models_images_and_wishes(job, tmp_path):
    others = [
        replace(job, digest="0" * 64),
        replace(job, how=SegmentWishes(step=0.25)),
        replace(job, images=(*job.images, None)),
        replace(job, version="0.0.0"),
    ]
    assert len({made_from(each) for each in (job, *others)}) == 5
    same = replace(job, how=SegmentWishes(memory_gb=3, cache=tmp_path))  # wishes that change no label
    assert made_from(same) == made_from(job)


def test_the_device_is_the_workers_own_where_nobody_named_one(job):
    held = {}
    assert segment_scan(replace(job, how=SegmentWishes(device="auto", mirror=False)), held).failed is None
    assert held[HELD][1].device in ("cpu", "cuda")


def test_a_worker_keeps_its_model_from_one_scan_to_the_next(job):
    held = {}
    segment_scan(job, held)
    model = held[HELD][1]
    segment_scan(replace(job, labels=job.labels.replace("ball.nii", "again.nii"), case="again"), held)
    assert held[HELD][1] is model
    segment_scan(replace(job, how=SegmentWishes(step=0.25)), held)
    assert held[HELD][1] is not model


def test_what_is_wrong_with_a_scan_is_an_answer(job, tmp_path):
    (tmp_path / "ball.nii.gz").write_bytes(b"nothing")
    assert "ball.nii.gz" in segment_scan(job, {}).failed
    assert not made_file(tmp_path / "out" / "ball.nii.gz", "ball").exists()


def test_a_worker_that_sees_other_files_or_is_of_another_version_says_so(job):
    failed = segment_scan(replace(job, model="/nowhere/model"), {}).failed
    assert "does not see /nowhere/model" in failed
    assert "on a file system that all machines share" in failed
    assert "expected 9.9.9: install the same" in segment_scan(replace(job, version="9.9.9"), {}).failed


def test_a_case_of_a_run_is_prepared_as_on_one_machine(tmp_path, balls_folder):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    for folder in (alone, shared):
        plan(balls_folder, folder, PlanWishes(steps=2), Unwatched())
    prepare(alone, Unwatched(), workers=1)
    cases = Run.open(shared).dataset().ids
    held = {}
    for case in cases:
        assert prepare_one(CaseJob(case, str(shared), "one"), held).failed is None
    opened = held[HELD][1]
    assert prepare_one(CaseJob(cases[0], str(shared), "one"), held).failed is None
    assert held[HELD][1] is opened
    for file in sorted((alone / "prepared").rglob("*.npy")):
        other = shared / file.relative_to(alone)
        assert file.read_bytes() == other.read_bytes()
    assert "no run" in prepare_one(CaseJob("a", str(tmp_path), "two"), {}).failed
