import pytest

from delineate.errors import PlanError
from delineate.planning import Plan, make_plan
from delineate.space import LabelSchema

SMALL = ([(35, 50, 36)] * 50, (1, 1, 1))
LARGE = ([(500, 500, 300)] * 20, (0.8, 0.8, 1.5))
PICTURES = ([(120, 130, 1)] * 100, (1, 1, 1))


# ---- what is trained


@pytest.mark.parametrize(
    ("shapes", "wish", "use"),
    [
        (PICTURES, {}, ("2d",)),
        (PICTURES, {"device": "cpu"}, ("2d",)),
        (SMALL, {}, ("3d_fullres",)),
        (LARGE, {}, ("3d_fullres", "3d_lowres", "3d_cascade_fullres")),
        (LARGE, {"steps": 250_000}, ("3d_fullres", "3d_lowres", "3d_cascade_fullres")),
        (LARGE, {"minutes": 30}, ("3d_fullres",)),
        (LARGE, {"device": "cpu", "minutes": 30}, ("3d_lowres",)),
        (SMALL, {"device": "cpu", "minutes": 30}, ("3d_fullres",)),
    ],
)
def test_what_is_trained_depends_on_the_data_and_the_budget(shapes, wish, use, fingerprint_of):
    plan = make_plan(fingerprint_of(*shapes), **wish)
    assert plan.use == use
    assert plan.reasons["use"]


def test_wishes_come_first(fingerprint_of):
    plan = make_plan(
        fingerprint_of(*LARGE), minutes=30, use=["3d_lowres", "3d_cascade_fullres"], folds=[1, 2, 3]
    )
    assert plan.use == ("3d_lowres", "3d_cascade_fullres")
    assert plan.train_folds == (1, 2, 3)
    assert plan.training.minutes == 30 / 6
    assert plan.reasons["use"] == plan.reasons["train_folds"] == "asked for"


def test_folds_that_are_asked_for_exist(fingerprint_of):
    assert make_plan(fingerprint_of(*SMALL), folds=[7]).folds == 8


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (["3d_lowres"], "use names 3d_lowres; for these data there are 2d, 3d_fullres"),
        (["4d"], "use names 4d; for these data"),
        ([], "use names nothing"),
    ],
)
def test_a_configuration_that_does_not_exist_is_refused(use, said, fingerprint_of):
    with pytest.raises(PlanError, match=said):
        make_plan(fingerprint_of(*SMALL), use=use)


@pytest.mark.parametrize("use", [["3d_cascade_fullres"], ["3d_cascade_fullres", "3d_lowres"]])
def test_a_cascade_needs_what_it_reads_before_it(use, fingerprint_of):
    with pytest.raises(
        PlanError, match="3d_cascade_fullres reads the labels of 3d_lowres: use both, 3d_lowres first"
    ):
        make_plan(fingerprint_of(*LARGE), use=use)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"device": "cuda"}, "device is 'gpu' or 'cpu', got 'cuda'"),
        ({"preset": "S"}, "there is no preset 'S'; there are default, M, L, XL"),
        ({"memory_gb": 0}, "memory_gb is a positive number of GB, got 0"),
        ({"minutes": 3, "steps": 3}, "give either minutes or steps"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(wish, said, fingerprint_of):
    with pytest.raises(PlanError, match=said):
        make_plan(fingerprint_of(*SMALL), **wish)


# ---- folds


@pytest.mark.parametrize(("cases", "folds"), [(1, 2), (3, 3), (5, 5), (50, 5)])
def test_there_are_no_more_folds_than_cases(cases, folds, fingerprint_of):
    plan = make_plan(fingerprint_of([(40, 40, 40)] * cases, (1, 1, 1)))
    assert plan.folds == folds
    assert plan.train_folds == tuple(range(folds))


def test_folds_are_as_the_cases_are_divided(fingerprint_of):
    plan = make_plan(fingerprint_of(*SMALL), fold_count=3)
    assert (plan.folds, plan.train_folds) == (3, (0, 1, 2))
    assert plan.reasons["folds"] == "as the cases are divided"
    assert make_plan(fingerprint_of(*SMALL), fold_count=1).train_folds == (0,)
    with pytest.raises(PlanError, match="there is no fold 3, 7: the cases are divided into 3"):
        make_plan(fingerprint_of(*SMALL), fold_count=3, folds=[3, 2, 7])


def test_a_cascade_needs_every_fold_and_shares_the_minutes_between_them(fingerprint_of):
    plan = make_plan(fingerprint_of(*LARGE), minutes=30, use=["3d_lowres", "3d_cascade_fullres"])
    assert plan.train_folds == (0, 1, 2, 3, 4)
    assert plan.training.minutes == 30 / 10
    assert "never saw the case" in plan.reasons["train_folds"]


def test_a_budget_trains_one_fold(fingerprint_of):
    assert make_plan(fingerprint_of(*SMALL), device="cpu").train_folds == (0,)


# ---- left and right


@pytest.mark.parametrize(
    ("orientation", "axes"), [("RAS", (1, 2)), ("LPS", (1, 2)), ("SRA", (0, 2)), ("PIR", (0, 1))]
)
def test_left_and_right_are_not_mirrored_where_labels_tell_them_apart(orientation, axes, fingerprint_of):
    labels = ("left hippocampus", "right hippocampus", "tumour")
    plan = make_plan(fingerprint_of(*SMALL, labels=labels, orientation=orientation))
    assert plan.training.mirror_axes == axes
    assert "'left hippocampus' would look like 'right hippocampus'" in plan.reasons["training.mirror_axes"]


def test_pictures_are_not_mirrored_through_themselves(fingerprint_of):
    assert make_plan(fingerprint_of(*PICTURES)).training.mirror_axes == (0, 1)
    sides = make_plan(fingerprint_of(*PICTURES, labels=("left lung", "right lung")))
    assert sides.training.mirror_axes == (1,)


def test_everything_else_is_mirrored(fingerprint_of):
    assert make_plan(fingerprint_of(*SMALL)).training.mirror_axes == (0, 1, 2)


# ---- augmentation


def drawn(plan, name):
    return plan.augmentation[name]


def test_anisotropic_patches_are_turned_within_their_slices(fingerprint_of):
    plan = make_plan(fingerprint_of([(256, 12, 256)] * 9, (1, 8, 1)))
    solid = drawn(plan, "3d_fullres")
    assert solid.flat_axis == 1
    assert solid.rotation_deg == (-180, 180)
    assert "12" in plan.reasons["augmentation.3d_fullres.flat_axis"] or "16" in str(plan.configurations)


def test_isotropic_patches_are_turned_in_all_directions(fingerprint_of):
    solid = drawn(make_plan(fingerprint_of(*SMALL)), "3d_fullres")
    assert (solid.flat_axis, solid.rotation_deg) == (None, (-30, 30))


@pytest.mark.parametrize(("shape", "angles"), [((128, 128, 1), (-180, 180)), ((256, 128, 1), (-15, 15))])
def test_oblong_pictures_are_turned_little(shape, angles, fingerprint_of):
    assert drawn(make_plan(fingerprint_of([shape] * 50, (1, 1, 1))), "2d").rotation_deg == angles


# ---- the plan as a whole


def test_a_plan_read_back_is_the_same(fingerprint_of):
    plan = make_plan(fingerprint_of(*LARGE))
    assert Plan.from_json(plan.to_json(), where="plan.json") == plan


def test_a_plan_names_the_fingerprint_it_was_made_from(fingerprint_of):
    found = fingerprint_of(*SMALL)
    plan = make_plan(found)
    assert plan.fingerprint == found.digest()
    assert plan.orientation == "RAS"
    assert plan.labels == found.labels


def test_memory_defaults_to_what_the_preset_was_made_for(fingerprint_of):
    found = fingerprint_of(*LARGE)
    assert make_plan(found, preset="L") == make_plan(found, preset="L", memory_gb=24)
    assert make_plan(found) == make_plan(found, memory_gb=8)


def test_planning_twice_gives_the_same_plan(fingerprint_of):
    found = fingerprint_of(*LARGE)
    assert make_plan(found, device="cpu") == make_plan(found, device="cpu")


# ---- CPU budgets serve every kind of data


COHORTS = {
    "hippocampi": ([(35, 50, 36)] * 50, (1, 1, 1), ("MRI",), 2),
    "blood cells": ([(120, 120, 1)] * 160, (1, 1, 1), ("red", "green", "blue"), 2),
    "nuclei": ([(256, 256, 1)] * 100 + [(1024, 1024, 1)] * 20, (1, 1, 1), ("grey",), 1),
    "microscopy": ([(1024, 1024, 1)] * 60, (1, 1, 1), ("grey",), 1),
    "heads": ([(64, 64, 64)] * 24, (1, 1, 1), ("T1", "T1c", "T2", "FLAIR"), 3),
    "whole body": ([(122, 101, 112)], (3, 3, 3), ("CT",), 60),
    "large CT": ([(512, 512, 400)] * 30, (0.8, 0.8, 1.0), ("CT",), 25),
    "few slices": ([(256, 216, 10)] * 20, (1.5, 1.5, 10), ("cine",), 3),
}


@pytest.mark.parametrize("minutes", [3, 10, 20, 60])
@pytest.mark.parametrize("cohort", COHORTS)
def test_a_cpu_budget_affords_its_steps(cohort, minutes, fingerprint_of):
    from delineate.planning.budget import CPU_GFLOPS, FEWEST_STEPS
    from delineate.planning.memory import training_operations

    shapes, spacing, channels, structures = COHORTS[cohort]
    labels = LabelSchema.of(*(f"structure {n}" for n in range(structures)))
    plan = make_plan(
        fingerprint_of(shapes, spacing, channels=channels, labels=labels), device="cpu", minutes=minutes
    )
    configuration = plan.configuration()
    step = configuration.batch * training_operations(
        configuration.network, configuration.edges, len(channels), structures + 1
    )
    steps = minutes * 60 * CPU_GFLOPS * 1e9 / step
    assert steps >= FEWEST_STEPS
    if minutes >= 10:
        assert steps >= 1000
