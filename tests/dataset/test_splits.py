import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.dataset import Case, Dataset, Fold, Splits, make_splits
from delineate.dataset.splits import shuffled_folds
from delineate.errors import DataError, RecordError
from delineate.space import LabelSchema

KFOLD = json.loads(Path(__file__).with_name("kfold.json").read_text())["splits"]


def dataset_of(*cases):
    return Dataset("some", Path("some"), "pairs", ("image",), LabelSchema.of("a"), tuple(cases))


def plain(count):
    return dataset_of(*(Case(f"case_{n:03d}", (None,)) for n in range(count)))


def sides(fold):
    return [set(ids) for ids in fold.parts.values()]


@pytest.mark.parametrize(
    "golden", KFOLD, ids=lambda g: f"{g['cases']} cases, {g['folds']} folds, seed {g['seed']}"
)
def test_folds_equal_those_of_scikit_learn(golden):
    names = [f"case_{n:03d}" for n in range(golden["cases"])]
    expected = [[names[n] for n in part] for part in golden["validation"]]
    assert shuffled_folds(names, golden["folds"], golden["seed"]) == expected


def test_by_default_the_folds_are_those_of_nnunet():
    golden = next(g for g in KFOLD if g["cases"] == 220)
    splits = make_splits(plain(220))
    assert (splits.mode, splits.seed) == ("kfold", 12345)
    for fold, validation in zip(splits.folds, golden["validation"], strict=True):
        assert fold.validation == tuple(f"case_{n:03d}" for n in validation)
        assert set(fold.train) | set(fold.validation) == {f"case_{n:03d}" for n in range(220)}


def test_the_folds_do_not_depend_on_the_order_of_the_cases():
    cases = plain(23).cases
    assert make_splits(dataset_of(*reversed(cases))) == make_splits(dataset_of(*cases))


@st.composite
def datasets(draw):
    patients = draw(st.lists(st.integers(1, 6), min_size=5, max_size=40))
    words = st.sampled_from(["x", "y", "z"])
    return dataset_of(
        *(
            Case(f"c{p:02d}_{n}", (None,), group=f"p{p}", site=f"site {p % 3}", extra={"grade": draw(words)})
            for p, count in enumerate(patients)
            for n in range(count)
        )
    )


@given(datasets(), st.integers(2, 5), st.sampled_from([None, "site", "grade"]), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_every_case_judges_once_and_no_patient_is_on_two_sides(dataset, folds, stratify, seed):
    splits = make_splits(dataset, folds=folds, stratify=stratify, seed=seed)
    judged = [name for fold in splits.folds for name in fold.validation]
    assert sorted(judged) == sorted(dataset.ids)
    patient = {case.id: case.group for case in dataset.cases}
    for fold in splits.folds:
        train, validation, _ = ({patient[name] for name in side} for side in sides(fold))
        assert not train & validation
        assert len(fold.train) + len(fold.validation) == len(dataset.cases)


@given(datasets(), st.sampled_from([None, "site"]), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_holding_out_divides_patients_in_three(dataset, stratify, seed):
    (fold,) = make_splits(dataset, mode="holdout", stratify=stratify, seed=seed).folds
    assert sorted([*fold.train, *fold.validation, *fold.test]) == sorted(dataset.ids)
    patient = {case.id: case.group for case in dataset.cases}
    groups = [{patient[name] for name in side} for side in sides(fold)]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_holding_out_takes_sixty_twenty_and_twenty_percent():
    splits = make_splits(plain(100), mode="holdout")
    assert splits.seed == 42
    assert [len(side) for side in sides(splits.folds[0])] == [60, 20, 20]
    assert make_splits(plain(100), mode="holdout", seed=1) != splits


def test_rare_strata_do_not_all_train():
    words = {f"case_{n:03d}": f"stratum {n}" for n in range(40)}
    (fold,) = make_splits(plain(40), mode="holdout", stratify=words).folds
    assert [len(side) for side in sides(fold)] == [24, 8, 8]


def test_three_patients_are_enough_to_hold_out():
    (fold,) = make_splits(plain(3), mode="holdout").folds
    assert [len(side) for side in sides(fold)] == [1, 1, 1]


def test_holding_out_keeps_the_share_of_each_site():
    cases = [Case(f"c{n:02d}", (None,), site="rare" if n % 10 == 0 else "usual") for n in range(100)]
    (fold,) = make_splits(dataset_of(*cases), mode="holdout", stratify="site").folds
    site = {case.id: case.site for case in cases}
    assert [Counter(site[name] for name in side)["rare"] for side in sides(fold)] == [6, 2, 2]


def test_patients_of_many_cases_still_give_even_folds():
    sizes = [7, 5, 5, 4, 3, 3, 2, 2, 1, 1, 1, 1]
    cases = [Case(f"c{p}_{n}", (None,), group=f"p{p}") for p, size in enumerate(sizes) for n in range(size)]
    counts = [len(fold.validation) for fold in make_splits(dataset_of(*cases)).folds]
    assert max(counts) <= 8
    assert min(counts) >= 6


def test_one_large_patient_leaves_no_fold_empty():
    cases = [Case(f"c{n}", (None,), group="large") for n in range(50)]
    cases += [Case(f"d{n}", (None,)) for n in range(4)]
    assert all(fold.validation for fold in make_splits(dataset_of(*cases)).folds)


def test_cases_can_be_divided_without_regard_to_patients():
    cases = [Case(f"case_{n:03d}", (None,), group=f"p{n // 2}") for n in range(10)]
    splits = make_splits(dataset_of(*cases), by="case")
    assert [fold.validation for fold in splits.folds] == [f.validation for f in make_splits(plain(10)).folds]


def test_every_fold_gets_its_share_of_each_site():
    cases = [Case(f"c{n:02d}", (None,), site="rare" if n % 10 == 0 else "usual") for n in range(100)]
    splits = make_splits(dataset_of(*cases), stratify="site")
    site = {case.id: case.site for case in cases}
    for fold in splits.folds:
        assert Counter(site[name] for name in fold.validation) == {"rare": 2, "usual": 18}


def test_strata_can_be_words_for_every_case():
    words = {f"case_{n:03d}": "old" if n < 10 else "young" for n in range(40)}
    for fold in make_splits(plain(40), stratify=words).folds:
        assert Counter(words[name] for name in fold.validation) == {"old": 2, "young": 6}


def with_files(small, tmp_path, blocks):
    names = [f"c{n:02d}" for n in range(len(blocks))]
    small.nnunet(tmp_path, names=names, channels=("T1",))
    for name, block in zip(names, blocks, strict=True):
        small.put_labels(tmp_path / "labelsTr" / f"{name}.nii.gz", block)
    return Dataset.open(tmp_path)


def test_every_fold_gets_its_share_of_rare_structures(small, tmp_path):
    dataset = with_files(small, tmp_path, [small.blocks((1, 2) if n < 5 else (1,)) for n in range(15)])
    for fold in make_splits(dataset, stratify="labels").folds:
        assert sum(int(name[1:]) < 5 for name in fold.validation) == 1


def test_every_fold_gets_small_and_large_structures(small, tmp_path):
    blocks = [np.zeros(small.SHAPE, np.uint8) for _ in range(12)]
    for n, block in enumerate(blocks):
        block.flat[: n + 1] = 1
    dataset = with_files(small, tmp_path, blocks)
    for fold in make_splits(dataset, folds=3, stratify="volume").folds:
        assert sorted(int(name[1:]) // 3 for name in fold.validation) == [0, 1, 2, 3]


def test_each_site_judges_once():
    cases = [Case(f"c{n}", (None,), group=f"p{n // 2}", site="ABC"[n % 3]) for n in range(12)]
    splits = make_splits(dataset_of(*cases), mode="leave_one_site_out")
    assert [len(fold.validation) for fold in splits.folds] == [4, 4, 4]
    for fold in splits.folds:
        patients = [{case.group for case in cases if case.id in side} for side in sides(fold)]
        assert not patients[0] & patients[1]


@pytest.mark.parametrize("sites", [["A", "A"], ["A", None], [None, None]])
def test_leaving_a_site_out_needs_two_known_sites(sites):
    cases = [Case(f"c{n}", (None,), site=site) for n, site in enumerate(sites)]
    with pytest.raises(DataError, match="needs the site of every case and at least two"):
        make_splits(dataset_of(*cases), mode="leave_one_site_out")


def test_patients_who_were_everywhere_leave_nobody_to_train():
    cases = [Case(f"c{site}", (None,), group="p", site=site) for site in "AB"]
    with pytest.raises(DataError, match="every patient was also at site A"):
        make_splits(dataset_of(*cases), mode="leave_one_site_out")


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"mode": "temporal"}, "there is no split 'temporal'"),
        ({"folds": 5}, "4 patients cannot be divided into 5 parts"),
        ({"folds": 1}, "cannot be divided into 1 parts"),
        ({"folds": 2, "stratify": "scanner"}, "4 cases have no scanner to stratify by"),
        ({"folds": 2, "stratify": {"case_000": "x"}}, "3 cases have no stratum"),
    ],
)
def test_what_cannot_be_divided_is_refused(wishes, says):
    with pytest.raises(DataError, match=says):
        make_splits(plain(4), **wishes)


def test_splits_are_saved_and_read_again(tmp_path):
    splits = make_splits(plain(20))
    splits.save(tmp_path / "splits.json")
    assert Splits.load(tmp_path / "splits.json") == splits
    assert Splits.read(tmp_path / "splits.json", plain(20)) == splits


def test_folds_of_nnunet_are_read(tmp_path):
    path = tmp_path / "splits_final.json"
    path.write_text(json.dumps([{"train": ["case_000", "case_001"], "val": ["case_002"]}]))
    splits = Splits.read(path, plain(3))
    assert splits.mode == "given"
    assert splits.folds == (Fold(train=("case_000", "case_001"), validation=("case_002",)),)


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ("[", RecordError, "is not JSON"),
        ('{"train": []}', RecordError, "expected a list of folds"),
        ('["a"]', RecordError, "expected a list of folds"),
        ("[]", RecordError, "folds: .*at least 1"),
        ('[{"train": ["a"]}]', RecordError, r"folds\[0\].validation: Field required"),
        ('[{"train": ["a"], "val": []}]', RecordError, r"folds\[0\].validation"),
        ('[{"train": ["a", "b"], "val": ["b"]}]', RecordError, "more than one have b"),
        ('[{"train": ["a"], "val": ["z"]}]', DataError, "fold 0 names 1 cases that some does not have .*z"),
        (
            '[{"train": ["a"], "val": ["b"], "test": ["c"]}]',
            DataError,
            "in fold 0 patient p is in train and in",
        ),
    ],
)
def test_folds_that_do_not_fit_are_refused_and_say_where(tmp_path, content, error, says):
    path = tmp_path / "mine.json"
    path.write_text(content)
    dataset = dataset_of(Case("a", (None,), group="p"), Case("b", (None,)), Case("c", (None,), group="p"))
    with pytest.raises(error, match=says) as raised:
        Splits.read(path, dataset)
    assert str(raised.value).startswith(str(path))


def test_folds_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(RecordError, match="cannot be read: No such file"):
        Splits.read(tmp_path / "mine.json", plain(3))
