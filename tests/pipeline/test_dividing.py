import re

import numpy as np
import pytest

from delineate.dataset import Dataset
from delineate.errors import DataError
from delineate.evaluation import Rules, evaluate, write_report
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json, write_text
from delineate.pipeline import DivideWishes, PlanWishes, SplitWishes, Unwatched, divide, plan
from delineate.space.phantoms import balls

SITES = ("Bern", "Lyon", "Oslo")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Nine scans of three sites, with the sex and the age of the patients."""
    folder = tmp_path_factory.mktemp("data") / "Dataset001_Sites"
    lines = ["case,site,sex,age,remark"]
    for number in range(9):
        scan, labels = balls(np.random.default_rng(number), size=16)
        write_volume(scan, folder / "imagesTr" / f"c{number}_0000.nii.gz")
        write_labels(labels, folder / "labelsTr" / f"c{number}.nii.gz")
        lines.append(f"c{number},{SITES[number % 3]},{'fm'[number % 2]},{30 + number},as one")
    labels = {"background": 0, "large ball": 1, "small ball": 2}
    facts = {"channel_names": {"0": "MR"}, "labels": labels, "numTraining": 9, "file_ending": ".nii.gz"}
    write_json(folder / "dataset.json", facts)
    write_text(folder / "cases.csv", "\n".join(lines) + "\n")
    return folder


def planned(dataset, folder, mode):
    """A run that knows its folds, and a report as if it had been trained."""
    plan(dataset, folder, PlanWishes(steps=1, splits=SplitWishes(mode=mode)), Unwatched())
    opened = Dataset.open(dataset)

    def load(case):
        labels = opened.labels(opened.case(case))
        return labels, labels

    write_report(evaluate(opened.ids, load, rules=Rules(metrics=("dice",))), folder / "evaluation")
    return folder


def test_a_run_knows_the_columns_of_its_dataset_and_what_its_folds_leave_out(dataset, tmp_path):
    run = planned(dataset, tmp_path / "run", "leave_one_site_out")
    found = divide(run, None, DivideWishes(), tmp_path / "out")
    assert [each.column for each in found.columns] == ["site", "sex", "age", "size (ml)"]
    assert found.left_out.verified
    assert found.left_out.elsewhere[0].sites == 3
    assert "Every site was judged by networks that have not learnt from it." in found.to_markdown()
    assert "What to expect elsewhere" in (tmp_path / "out" / "subgroups.html").read_text()


def test_a_run_whose_folds_mix_sites_says_nothing_of_other_sites(dataset, tmp_path):
    run = planned(dataset, tmp_path / "run", "kfold")
    assert divide(run, None, DivideWishes()).left_out is None
    with pytest.raises(DataError, match="both teaches and judges"):
        divide(run, None, DivideWishes(left_out="site"))


def test_a_table_wins_over_the_dataset(dataset, tmp_path):
    run = planned(dataset, tmp_path / "run", "kfold")
    write_text(tmp_path / "other.csv", "case,sex\nc0,unknown\nc1,unknown\n")
    found = divide(run, tmp_path / "other.csv", DivideWishes(by={"sex": ()}))
    assert [group.name for group in found.columns[0].tables[0].groups] == ["unknown"]
    assert len(found.columns[0].unknown) == 7


def test_columns_that_tell_nothing_are_not_tables_unless_they_are_asked_for(dataset, tmp_path):
    run = planned(dataset, tmp_path / "run", "kfold")
    assert "remark" not in [each.column for each in divide(run, None, DivideWishes()).columns]
    asked = divide(run, None, DivideWishes(by={"remark": ()}))
    assert [group.name for group in asked.columns[0].tables[0].groups] == ["as one"]


def test_a_column_that_nobody_knows_is_refused_with_those_that_there_are(dataset, tmp_path):
    run = planned(dataset, tmp_path / "run", "kfold")
    says = "nobody knows 'scanner' of its cases; known are site, sex, age, remark, size. Give a CSV"
    with pytest.raises(DataError, match=re.escape(says)):
        divide(run, None, DivideWishes(by={"scanner": ()}))
