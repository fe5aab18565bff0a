"""The few-shot study: how cases are divided, what its table says, and the whole of it on a tiny dataset."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from benchmarks.few_shot import Parts, Study, results, run

from delineate.evaluation import Rules
from delineate.evaluation.scores import Row, report_of
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.networks import Transfer
from delineate.pipeline.start import StartRecord
from delineate.planning import Plan
from delineate.space.phantoms import balls


@dataclass(frozen=True)
class Named:
    """Cases by id."""

    ids: tuple[str, ...]


def study(folder=Path("work"), **changes):
    settings = {"cases": (2, 4), "seeds": (0, 1), "test": 3, "watch": 1, "source": 2}
    return Study(Path("data"), folder, **(settings | changes))


def test_no_case_is_in_two_parts_and_fewer_cases_are_the_first_of_more():
    cases = Named(tuple(f"c{n:02d}" for n in range(12)))
    parts = Parts.of(cases, study())
    every = (*parts.test, *parts.watch, *parts.source, *parts.rest)
    assert len(every) == len(set(every)) == 12
    assert parts == Parts.of(Named(cases.ids[::-1]), study())
    assert parts.few(4, 0)[:2] == parts.few(2, 0)
    assert set(parts.few(4, 0)) <= set(parts.rest)
    assert parts.few(4, 0) != parts.few(4, 1)


def test_too_few_cases_are_refused():
    with pytest.raises(SystemExit, match="are too few"):
        Parts.of(Named(("a", "b", "c", "d", "e", "f", "g")), study())


def report(values):
    rules = Rules()
    rows = [
        Row(
            case=f"c{n}",
            structure="ball",
            metric=measure.name,
            definition=measure.definition,
            unit=measure.unit,
            value=value if measure.name == "dice" else None,
        )
        for n, value in enumerate(values)
        for measure in rules.measures
    ]
    groups = {f"c{n}": f"c{n}" for n in range(len(values))}
    return report_of(rows, title="x", rules=rules, groups=groups, rng=np.random.default_rng(0))


def test_the_table_has_means_over_seeds_and_paired_differences_from_scratch():
    asked = study(cases=(2,), arms=("scratch", "mae"))
    low, high = [0.5, 0.6, 0.7, 0.55, 0.65, 0.62], [0.6, 0.7, 0.8, 0.65, 0.74, 0.73]
    reports = {("scratch", 2, s): report(low) for s in (0, 1)} | {("mae", 2, s): report(high) for s in (0, 1)}
    rows, words = results(asked, reports)
    assert [row["arm"] for row in rows] == ["scratch", "mae"]
    assert rows[1]["difference"] == pytest.approx(np.mean(high) - np.mean(low))
    assert rows[1]["difference_low"] < rows[1]["difference"] < rows[1]["difference_high"]
    assert rows[1]["seeds"] == 2
    assert "| 2 | mae | 0.7033 [" in words
    assert "| +0.1000 [" in words
    only_one, _ = results(asked, {("scratch", 2, 0): report(low)})
    assert only_one == []


@pytest.mark.slow
def test_the_whole_study_on_a_tiny_dataset_and_again_from_where_it_was_left(tmp_path):
    for number in range(9):
        scan, labels = balls(np.random.default_rng(number), size=16)
        write_volume(scan, tmp_path / "data" / "imagesTr" / f"b{number}_0000.nii.gz")
        write_labels(labels, tmp_path / "data" / "labelsTr" / f"b{number}.nii.gz")
    write_json(
        tmp_path / "data" / "dataset.json",
        {
            "channel_names": {"0": "MR"},
            "labels": {"background": 0, "large ball": 1, "small ball": 2},
            "numTraining": 9,
            "file_ending": ".nii.gz",
        },
    )
    arms = ("scratch", "own", "mae", "transfer")
    asked = Study(tmp_path / "data", tmp_path / "work", (2,), (0,), arms, steps=2, test=3, watch=1, source=3)
    rows = run(asked)
    assert tuple(row["arm"] for row in rows) == arms
    runs = tmp_path / "work" / "runs"
    plans = [Plan.load(runs / f"{arm}_2_seed0" / "plan.json") for arm in arms if arm != "own"]
    networks = {plan.configuration().network.to_json() + str(plan.configuration().patch) for plan in plans}
    assert len(networks) == 1, "every arm has the same network and patch"
    assert not (runs / "own_2_seed0" / "start.json").exists()
    record = StartRecord.load(runs / "mae_2_seed0" / "start.json")
    held_out = Parts.of(Named(tuple(f"b{n}" for n in range(9))), asked).test
    assert not set(record.shared) & set(held_out)
    moved = Transfer.load(runs / "transfer_2_seed0" / "folds" / "3d_fullres" / "fold_0" / "transfer.json")
    assert moved.outputs == {"background": "copied", "large ball": "new", "small ball": "new"}
    times = {path: path.stat().st_mtime_ns for path in runs.rglob("weights.safetensors")}
    assert run(asked) == rows
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert json.loads((tmp_path / "work" / "few_shot.json").read_text())["results"] == rows
