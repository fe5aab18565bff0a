import pytest

from delineate.errors import ModelError
from delineate.networks import (
    Degraded,
    Facts,
    Loss,
    Model,
    build_network,
    degraded_note,
    inputs_of,
    write_model,
)

MEASURED = Degraded(
    channels=("T1", "T2", "FLAIR"),
    cases=12,
    losses=(
        Loss(
            missing=("T2",),
            structure="lesion",
            whole=0.9,
            without=0.8,
            loss=0.1,
            low=0.05,
            high=0.2,
            cases=12,
        ),
        Loss(missing=("FLAIR",), structure="lesion", whole=0.9, without=0.4, loss=0.5, cases=12),
        Loss(missing=("FLAIR",), structure="scar", whole=None, without=None, loss=None),
    ),
)


def test_what_was_measured_is_told():
    assert MEASURED.told(("T2",)) == "on 12 validation cases that cost in Dice: lesion 0.100 [0.050, 0.200]"
    assert MEASURED.told(("FLAIR",)).endswith("lesion 0.500, scar unknown")


def test_what_was_not_measured_together_is_told_one_by_one():
    told = MEASURED.told(("FLAIR", "T2"))
    assert told.startswith("what that costs together was not measured; each alone cost in Dice")
    assert "lesion without T2 0.100 [0.050, 0.200]" in told
    assert MEASURED.told(("T1",)) == "what that costs was not measured"


def test_the_note_names_what_is_missing_and_how_to_measure_it():
    note = degraded_note(("FLAIR",), MEASURED.channels, None)
    assert note.startswith("DEGRADED: made without FLAIR; the model reads T1, T2, FLAIR")
    assert "evaluate RUN --missing-channels" in note
    assert "0.500" in degraded_note(("FLAIR",), MEASURED.channels, MEASURED)


def test_the_table_has_a_row_for_each_channel_and_structure():
    lines = MEASURED.to_markdown().splitlines()
    assert len(lines) == 5
    assert lines[2] == "| T2 | lesion | 0.900 | 0.800 | 0.100 [0.050, 0.200] | 12 |"
    assert lines[4] == "| FLAIR | scar | - | - | - | 0 |"


def test_a_model_carries_what_a_missing_channel_costs(make_plan, tmp_path):
    plan = make_plan()
    spec = plan.configuration("3d_fullres").network
    state = build_network(spec, inputs_of(plan, "3d_fullres"), 3, seed=0).state_dict()
    facts = Facts(created="2026-11-20", cases=40, patients=38)
    write_model(
        tmp_path / "m",
        plan=plan,
        weights={"3d_fullres": {0: state}},
        card="#\n",
        facts=facts,
        degraded=MEASURED,
    )
    assert Model.open(tmp_path / "m").degraded == MEASURED
    (tmp_path / "m" / "degraded.json").unlink()
    with pytest.raises(ModelError, match=r"is incomplete, without degraded\.json"):
        Model.open(tmp_path / "m")
