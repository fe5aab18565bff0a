import numpy as np
import pytest

from delineate.errors import ModelError
from delineate.evaluation import evaluate
from delineate.pipeline import Unwatched
from delineate.pipeline.compressing import refuse_loss
from delineate.pipeline.compression import RULES, Change, Compression, Variant, changes_of
from delineate.space import LabelMap
from delineate.space.phantoms import balls

CASES = [str(n) for n in range(5)]


def report_of(damage):
    """A report of predictions that lose `damage` planes of the scan, or all of it."""

    def load(case):
        _, reference = balls(np.random.default_rng(int(case)), size=16)
        found = reference.array.copy()
        found[:damage] = 0
        return reference, LabelMap(found, reference.geometry, reference.schema)

    return evaluate(CASES, load, rules=RULES)


def table(**changes):
    fields = {
        "method": "int8",
        "made_from": "0" * 64,
        "how": "Convolutions in int8.",
        "data": "balls",
        "cases": 5,
        "patients": 5,
        "before": "float32",
        "variants": (
            Variant(name="float32", engine="openvino", megabytes=4, milliseconds=9),
            Variant(name="int8", engine="openvino", megabytes=1, milliseconds=3),
        ),
        "changes": (),
    }
    return Compression(**(fields | changes))


def change(value, *, structure="ball", lacking=0):
    return Change(
        variant="int8",
        structure=structure,
        metric="dice",
        before=0.9,
        after=None if value is None else 0.9 + value,
        change=value,
        low=None,
        high=None,
        cases=5,
        lacking=lacking,
    )


def test_changes_are_after_less_before_with_intervals():
    found = changes_of({"float32": report_of(0), "int8": report_of(6)})
    whole = next(c for c in found if c.metric == "dice" and c.structure is None)
    assert whole.before == 1
    assert whole.after < 1
    assert whole.change == pytest.approx(whole.after - whole.before)
    assert whole.low <= whole.change <= whole.high <= 0
    assert {c.variant for c in found} == {"int8"}
    assert {c.structure for c in found} == {None, "large ball", "small ball"}


def test_a_structure_that_loses_more_than_half_a_point_is_lost():
    assert not table(changes=(change(-0.0049),)).lost("int8")
    assert len(table(changes=(change(-0.0051), change(0.01, structure="other"))).lost("int8")) == 1
    assert not table(changes=(change(-0.5, structure=None),)).lost("int8")  # of its structures one is named


def test_a_structure_that_has_no_value_any_more_is_lost_and_one_that_never_had_is_not():
    assert table(changes=(change(None, lacking=3),)).lost("int8")
    assert not table(changes=(change(None),)).lost("int8")


def test_a_loss_is_refused_unless_it_is_accepted():
    said = []

    class Listening(Unwatched):
        def say(self, text):
            said.append(text)

    losing = table(changes=(change(-0.02), change(None, structure="gone", lacking=2)))
    expected = (
        r"int8 loses more than half a Dice point on balls: ball \(-0\.0200\), gone \(no value\)\. Nothing"
    )
    with pytest.raises(ModelError, match=expected):
        refuse_loss(losing, "int8", Listening(), accepted=False)
    assert "| int8 | ball | Dice | 0.9000 | 0.8800 | -0.0200 |" in said[0]
    refuse_loss(losing, "int8", Unwatched(), accepted=True)


def test_the_tables_say_what_is_within_a_thousandth():
    mean = change(-0.0004, structure=None)
    told = table(changes=(mean, change(-0.00001)), notes=("few cases",)).to_markdown()
    assert "| float32 | openvino | 4.00 | 9.0 | 0.9000 |  |  |" in told
    assert "| int8 | openvino | 1.00 | 3.0 | 0.8996 | -0.0004 | yes |" in told
    assert "| int8 | ball | Dice | 0.9000 | 0.9000 | 0.0000 |  | 5 |" in told
    assert told.rstrip().endswith("- few cases")
    assert "| no |" in table(changes=(change(0.002, structure=None),)).to_markdown()
