import csv
import io

import pytest
from pydantic import ValidationError

from delineate.errors import DataError
from delineate.evaluation.comparison import Comparison, Terms, compare, write_comparison
from delineate.evaluation.comparison.comparison import in_words, percent


@pytest.fixture(scope="module")
def comparison(made_model):
    terms = Terms(margins={"dice": 0.05})
    return compare(made_model(0.02, 1, title="new"), made_model(0, 2, missed=[2], title="old"), terms=terms)


@pytest.fixture(scope="module")
def of_three(made_model):
    return compare(*(made_model(shift, n, title=f"m{n}") for n, shift in enumerate((0, 0.03, 0.06))))


def test_the_table_gives_means_difference_interval_and_verdict(comparison):
    text = comparison.to_markdown()
    lines = text.splitlines()
    assert lines[0] == comparison.verdict
    assert lines[2] == "| structure | metric | new | old | difference [95 %] | patients | p | verdict |"
    assert lines[4].startswith("| mean of structures | Dice | 0.87")
    assert "| liver | HD95 (mm) |" in text
    assert "| 39 (1 value without a partner) |" in text
    assert "| spleen | \\|Relative volume error\\| |" in text
    assert "new better, proven |" in text
    assert {line.count("|") - line.count("\\|") for line in lines if line.startswith("|")} == {9}


def test_below_the_table_stands_how_it_was_found(comparison):
    text = comparison.to_markdown()
    for said in (
        "40 cases of 40 patients; a case counts only where both have a value.",
        "p: sign flips of patients, two-sided, adjusted for 9 comparisons (Holm).",
        "Intervals: 95 %, BCa bootstrap over patients, widened for few; each by itself.",
        "Proven: p below 0.05 and the interval of the difference without zero.",
        "Equivalent: the interval lies within the margin (Dice 0.05).",
        "HD95: larger of the two directed 95th percentiles between border voxels.",
    ):
        assert f"- {said}\n" in text


def test_of_three_models_every_pair_has_its_table_and_the_order_follows(of_three):
    text = of_three.to_markdown()
    for title in ("### m0 and m1", "### m0 and m2", "### m1 and m2", "### Order"):
        assert title in text
    assert of_three.verdict == (
        "m2 comes first by mean Dice and in 100 % of the draws, proven better than m1 and m0."
    )
    assert "| Dice | 1 | m2 | 0.9" in text
    assert len(of_three.verdicts) == 3
    assert len(of_three.between("m0", "m2")) == 9


def test_each_may_be_better_at_something(made_report):
    def model(title, dice, hd95):
        count = range(12)
        columns = {"dice": [dice + 0.001 * n for n in count], "hd95": [hd95 + 0.1 * n for n in count]}
        return made_report({"liver": columns}, title=title)

    found = compare(model("A", 0.9, 5.0), model("B", 0.8, 2.0))
    assert found.verdict.startswith(
        "Each is better at something, proven: A by Dice and B by HD95; Dice: 0.90"
    )


def test_equivalence_and_lack_of_proof_are_said_for_the_whole(made_model):
    one, other = made_model(0, 1, noise=0.004, title="A"), made_model(0, 2, noise=0.004, title="B")
    terms = Terms(metrics=("dice",), margins={"dice": 0.02})
    assert compare(one, other, terms=terms).verdict.startswith(
        "A and B are equivalent within the margins that were named; Dice (mean of structures): 0.8"
    )
    assert compare(one, other).verdict.startswith("No difference between A and B is proven; Dice (mean")


def test_the_csv_has_every_number_and_empty_fields_for_missing_ones(comparison):
    rows = list(csv.DictReader(io.StringIO(comparison.to_csv())))
    assert len(rows) == 9
    first, contrast = rows[0], comparison.contrast(None, "dice")
    assert (first["structure"], first["metric"], first["first"]) == ("mean of structures", "dice", "new")
    assert float(first["low"]) == contrast.low
    assert float(first["adjusted"]) == contrast.adjusted
    assert {row["margin"] for row in rows} == {"0.05", ""}
    assert rows[3]["only_first"] == "2"


def test_a_comparison_read_back_is_the_same(of_three, tmp_path):
    write_comparison(of_three, tmp_path)
    assert Comparison.load(tmp_path / "comparison.json") == of_three
    assert (tmp_path / "comparison.csv").read_text() == of_three.to_csv()
    text = (tmp_path / "comparison.md").read_text()
    assert text.startswith("# m0, m1 and m2 compared\n\nm2 comes first")


def test_what_was_not_compared_is_refused_with_what_was(comparison):
    assert comparison.contrast("liver", "dice").structure == "liver"
    with pytest.raises(
        DataError, match="nothing was compared by 'nsd' of 'liver'; structures are liver, spleen and"
    ):
        comparison.contrast("liver", "nsd")


def test_terms_that_make_no_sense_are_refused():
    for wrong in ({"level": 95}, {"margins": {"dice": 0}}, {"test": "t"}, {"missing": "zero"}):
        with pytest.raises(ValidationError):
            Terms(**wrong)


@pytest.mark.parametrize(
    ("p", "said"), [(0.0001, "< 0.001"), (0.0012, "0.001"), (0.04999, "0.050"), (1.0, "1.000")]
)
def test_p_values_are_written_as_one_does(p, said):
    assert in_words(p) == said
    assert percent(0.95) == "95 %"
    assert percent(0.999) == "99.9 %"
