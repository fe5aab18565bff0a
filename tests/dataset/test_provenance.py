"""Who made the labels: read from columns, counted, and no judge where it was a model."""

import pytest

from delineate.dataset import Case, Dataset, check, make_splits
from delineate.dataset.provenance import Provenance, made_by_models, provenance_of, refuse_as_evidence, told
from delineate.errors import DataError

MODEL = {"label_origin": "auto", "label_tool": "delineate 0.1 liver", "label_model": "ab" * 32}


def case(name="a", **extra):
    return Case(name, (None,), labels="x", extra=extra)


@pytest.fixture
def mixed(small, tmp_path):
    """Six cases of three patients in nnU-Net's layout; the labels of d, e and f were made by a model."""
    small.nnunet(tmp_path, names=("a", "b", "c", "d", "e", "f"))
    rows = ["case,patient,label_origin,label_reviewed"]
    rows += ["a,p1,,", "b,p2,manual,", "c,p3,crowd,", "d,p3,auto,", "e,p4,auto,", "f,p5,auto,Dr A"]
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_where_nothing_is_said_people_drew():
    assert provenance_of(case()) == Provenance()
    assert provenance_of(case()).is_evidence
    assert told([case()]) is None


def test_what_is_said_comes_back_and_can_be_written_again():
    cells = MODEL | {"label_date": "2026-11-20", "label_confidence": "0.9100"}
    found = provenance_of(case(**cells))
    assert (found.origin, found.confidence, found.model) == ("auto", 0.91, "ab" * 32)
    assert not found.is_evidence
    assert found.cells == cells
    assert found.but(reviewed="Dr A").is_evidence
    assert not provenance_of(case(**cells, label_reviewed="No")).is_evidence


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"label_origin": "robot"}, "a: label_origin is 'robot'; expected one of manual, semi, auto, crowd"),
        ({"label_confidence": "high"}, "a: label_confidence is 'high'; expected a number from 0 to 1"),
        ({"label_confidence": "1.5"}, "a: label_confidence is '1.5'"),
    ],
)
def test_what_cannot_be_is_refused(cells, said):
    with pytest.raises(DataError, match=said):
        provenance_of(case(**cells))


def test_what_models_made_is_counted_with_what_was_reviewed():
    cases = [case("a", **MODEL), case("b", **MODEL, label_reviewed="Dr A"), case("c")]
    assert made_by_models(cases) == ("a",)
    assert told(cases).startswith(
        "2 of 3 label maps were made by a model (2 by delineate 0.1 liver abababababab)"
    )
    assert "people reviewed 1 of them" in told(cases)
    with pytest.raises(
        DataError, match="here: the reference labels of a were made by a model and reviewed by nobody"
    ):
        refuse_as_evidence(cases, "here", "Leave them out.")
    refuse_as_evidence(cases[1:], "here", "")


def test_check_counts_them_and_names_a_wrong_cell(mixed):
    (told_now,) = [p for p in check(Dataset.open(mixed)).problems if p.kind == "label-origin"]
    assert (told_now.severity, told_now.message[:37]) == ("note", "3 of 6 label maps were made by a mode")
    text = (mixed / "cases.csv").read_text()
    (mixed / "cases.csv").write_text(text.replace("manual", "robot"))
    (wrong,) = [p for p in check(Dataset.open(mixed)).problems if p.kind == "label-origin"]
    assert (wrong.severity, wrong.case) == ("error", "b")


def test_labels_of_models_teach_and_never_judge(mixed):
    splits = make_splits(Dataset.open(mixed), folds=4)
    assert sorted(name for fold in splits.folds for name in fold.validation) == ["a", "b", "c", "f"]
    for fold in splits.folds:
        assert "e" in fold.train
        assert ("d" in fold.train) == ("c" not in fold.validation)  # d is of the same patient as c
    counted = make_splits(Dataset.open(mixed), folds=5, count_model_labels=True)
    assert sorted(name for fold in counted.folds for name in fold.validation) == list("abcdef")


def test_where_models_made_all_labels_nothing_can_judge(mixed):
    dataset = Dataset.open(mixed).subset(["d", "e"])
    with pytest.raises(DataError, match=r"labels of d, e were made by a model .* say so to count them"):
        make_splits(dataset, folds=2)
