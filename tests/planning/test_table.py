from delineate.planning import make_plan, plan_table
from delineate.planning.plan import Denoise

LARGE = ([(500, 500, 300)] * 20, (0.8, 0.8, 1.5))


def rows(plan, names=None):
    return {field: (value, reason) for field, value, reason in plan_table(plan, names)}


def test_the_table_shows_the_configurations_in_use(fingerprint_of):
    plan = make_plan(fingerprint_of(*LARGE), minutes=20)
    shown = rows(plan)
    assert "configurations.3d_fullres.patch" in shown
    assert not any("2d" in field or "lowres" in field for field in shown)


def test_others_are_shown_on_request(fingerprint_of):
    plan = make_plan(fingerprint_of(*LARGE), minutes=20)
    assert "configurations.2d.patch" in rows(plan, ["2d"])


def test_values_are_written_as_one_reads_them(fingerprint_of):
    plan = make_plan(fingerprint_of(*LARGE, channels=("CT",)), minutes=20)
    shown = rows(plan)
    assert shown["configurations.3d_fullres.patch"][0] == ", ".join(map(str, plan.configuration().patch))
    assert shown["configurations.3d_fullres.network.strides"][0].startswith("1x1x1, 2x2x")
    assert shown["configurations.3d_fullres.batch_dice"][0] == "yes"
    assert shown["configurations.3d_fullres.slice_axis"][0] == "-"
    assert shown["channels.0"][0] == "CT: ct"
    assert shown["training.learning_rate"][0] == "0.001"


def test_masks_and_denoising_of_a_channel_are_named(fingerprint_of):
    plan = make_plan(fingerprint_of(*LARGE, kept=0.5))
    channel = plan.channels[0].but(denoise=Denoise(rule="median"))
    assert rows(plan.but(channels=(channel,)))["channels.0"][0] == "MRI: zscore (masked), median"


def test_what_was_set_by_hand_is_in_the_table(fingerprint_of):
    plan = make_plan(fingerprint_of(*LARGE)).set_by_hand("gamma", [0.8, 1.2])
    assert rows(plan)["augmentation.3d_fullres.gamma"] == ("0.8, 1.2", "set by hand (was [0.7, 1.5])")


def test_facts_are_not_decisions(fingerprint_of):
    assert not {"version", "dataset", "fingerprint"} & set(rows(make_plan(fingerprint_of(*LARGE))))


def test_a_field_without_a_reason_shows_that_of_what_it_belongs_to(fingerprint_of):
    plan = make_plan(fingerprint_of(*LARGE))
    shown = rows(plan)
    assert shown["augmentation.3d_fullres.preset"][1] == plan.reasons["augmentation.3d_fullres"]
    bare = plan.but(reasons={})
    assert rows(bare)["training.seed"] == ("12345", "")
