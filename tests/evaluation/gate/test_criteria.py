import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from delineate.errors import DataError, RecordError
from delineate.evaluation.gate.criteria import DISCLAIMER, LITERATURE, Criterion, Gate, read_gate

LIVER = Criterion(structure="liver", threshold=0.95, source="our protocol")


# --- what ships


def test_the_rows_that_ship_are_those_of_the_literature_and_say_that_they_are_no_regulation():
    asked = {c.structure: c.threshold for c in LITERATURE.criteria}
    assert asked == {"liver": 0.95, "cardiac": 0.90, "whole brain tumour": 0.85, "lung lesion": 0.70}
    assert DISCLAIMER == LITERATURE.note == "Defaults from the literature, not regulatory limits."
    for criterion in LITERATURE.criteria:
        assert criterion.metric == "dice"
        assert not criterion.required
        assert criterion.source.startswith("literature default, not a regulatory limit: ")


@pytest.mark.parametrize(
    ("structure", "row"),
    [
        ("liver", "liver"),
        ("LV", "cardiac"),
        ("heart_ventricle_left", "cardiac"),
        ("Myocardium", "cardiac"),
        ("whole tumor", "whole brain tumour"),
        ("WT", "whole brain tumour"),
        ("Lung_Nodule", "lung lesion"),
    ],
)
def test_structures_are_known_by_their_usual_names(structure, row):
    assert [c.structure for c in LITERATURE.criteria if c.matching([structure])] == [row]


@pytest.mark.parametrize("structure", ["liver tumour", "left lateral ventricle", "tumour", "lung", "spleen"])
def test_other_structures_are_not_mistaken_for_them(structure):
    assert not [c for c in LITERATURE.criteria if c.matching([structure])]


# --- one row


def test_the_direction_follows_from_the_metric():
    assert LIVER.direction == "at least"
    assert Criterion(structure="liver", metric="hd95", threshold=5, source="us").direction == "at most"
    within = Criterion(structure="liver", metric="volume_error_relative", threshold=0.1, source="us")
    assert within.direction == "within"
    assert within.wish == "Relative volume error within ±0.1"
    given_by_hand = Criterion(structure="x", metric="dice", threshold=0.2, direction="at most", source="us")
    assert given_by_hand.direction == "at most"
    assert Criterion(structure="liver", metric="hd95", threshold=5, source="us").wish == "HD95 at most 5 mm"


@given(st.lists(st.sampled_from(["left", "kidney", "tumour", "t2"]), min_size=1, max_size=3), st.data())
def test_spelling_makes_no_difference(words, data):
    joiner = data.draw(st.sampled_from([" ", "_", "-", ".", "  "]))
    spelt = data.draw(st.sampled_from([str.upper, str.lower, str.title]))(joiner.join(words))
    criterion = Criterion(structure=" ".join(words), threshold=0.5, source="us")
    assert criterion.matching([spelt, "something else"]) == (spelt,)


def test_a_pattern_may_match_several():
    criterion = Criterion(structure="kidney*", names=("ren ?",), threshold=0.9, source="us")
    found = criterion.matching(["kidney_left", "Kidney right", "adrenal", "ren_l", "ren left"])
    assert found == ("kidney_left", "Kidney right", "ren_l")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"metric": "dize"}, "unknown metric 'dize'; there are dice, "),
        ({"metric": "volume_error", "threshold": 0}, "'within' asks for a threshold above 0, got 0"),
        ({"source": ""}, "source"),
        ({"level": 1.0}, "level"),
        ({"interval": "wald"}, "interval"),
        ({"patients": 1}, "patients"),
        ({"rule": "mean"}, "Extra inputs"),
    ],
)
def test_a_row_that_cannot_be_judged_is_refused(fields, says):
    with pytest.raises(ValidationError, match=says):
        Criterion(**({"structure": "liver", "threshold": 0.9, "source": "us"} | fields))


# --- files

TABLE = """structure,names,metric,threshold,direction,level,patients,required,source
liver,hepar|foie,dice,0.95,,,,,"protocol 7, table 2"
tumour*,,hd95,8,at most,0.9,50,no,tumour board
kidney,,volume_error_relative,0.1,,,,YES,us
"""


def test_a_table_says_the_same_as_a_record(tmp_path):
    path = tmp_path / "our_gate.csv"
    path.write_text(TABLE)
    gate = read_gate(path)
    assert (gate.name, gate.note) == ("our_gate", "")
    liver, tumour, kidney = gate.criteria
    assert liver == Criterion(
        structure="liver", names=("hepar", "foie"), threshold=0.95, source="protocol 7, table 2"
    )
    assert (tumour.metric, tumour.level, tumour.patients, tumour.required) == ("hd95", 0.9, 50, False)
    assert (kidney.direction, kidney.required) == ("within", True)
    (tmp_path / "gate.json").write_text(gate.to_json())
    assert read_gate(tmp_path / "gate.json") == gate


def test_a_few_columns_are_enough(tmp_path):
    path = tmp_path / "gate.csv"
    path.write_text("structure;metric;threshold;source\nliver;dice;0.95;us\n")
    assert read_gate(path).criteria == (Criterion(structure="liver", threshold=0.95, source="us"),)


def test_the_literature_is_read_by_its_name():
    assert read_gate("literature") is LITERATURE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,metric\nliver,dice\n", "one of them 'structure'; got name, metric"),
        (
            "structure,metric,threshold\nliver,dice,0.9\n",
            "is no gate: no column 'source'. Expected the columns",
        ),
        ("structure,metric,threshold,source,sauce\na,dice,1,b,c\n", "nobody knows the column 'sauce'"),
        ("structure,metric,threshold,source\n", "is no gate: it has no rows"),
        (
            "structure,metric,threshold,source\nliver,dice,high,us\n",
            "line 2 is no criterion: could not convert",
        ),
        (
            "structure,metric,threshold,source\nliver,dice,,us\n",
            "line 2 is no criterion: threshold: Field req",
        ),
        (
            "structure,metric,threshold,source\nliver,dize,1,us\n",
            "line 2 is no criterion: .*unknown metric 'dize'",
        ),
        (
            "structure,metric,threshold,source\nliver,dice,1,\n",
            "line 2 is no criterion: source: Field required",
        ),
        (
            "structure,metric,threshold,source,required\nliver,dice,1,us,perhaps\n",
            "'required' is yes or no, got 'perhaps'",
        ),
    ],
)
def test_a_table_that_is_no_gate_is_refused_and_says_where(tmp_path, text, says):
    path = tmp_path / "gate.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=says) as refusal:
        read_gate(path)
    assert re.match(rf"{re.escape(str(path))}: ", str(refusal.value))


def test_json_that_is_no_gate_is_refused(tmp_path):
    path = tmp_path / "gate.json"
    path.write_text(json.dumps({"name": "x", "criteria": []}))
    with pytest.raises(RecordError, match="criteria"):
        read_gate(path)
    with pytest.raises(RecordError, match="cannot be read"):
        read_gate(tmp_path / "none.json")
    assert Gate.from_json(LITERATURE.to_json(), where="here") == LITERATURE
