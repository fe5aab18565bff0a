import json

import pytest

from delineate.errors import PlanError, RecordError
from delineate.planning import Plan, make_plan
from delineate.planning.plan import (
    Augmentation,
    Configuration,
    Denoise,
    NetworkSpec,
    Normalization,
    Training,
    describe_spacing,
)

FLAT = NetworkSpec(
    features=(4, 8),
    strides=((1, 1), (2, 2)),
    kernels=((3, 3), (3, 3)),
    encoder_blocks=(2, 2),
    decoder_blocks=(2,),
)
SOLID = FLAT.but(strides=((1, 1, 1), (2, 2, 1)), kernels=((3, 3, 3), (3, 3, 3)))
CONFIGURATION = Configuration(
    spacing=(1.0, 1.0, 3.0),
    median_shape=(64, 64, 20),
    patch=(32, 32, 7),
    batch=2,
    network=SOLID,
    batch_dice=False,
)


@pytest.fixture(scope="module")
def plan(fingerprint_of):
    return make_plan(fingerprint_of([(500, 500, 300)] * 20, (0.8, 0.8, 1.5)))


@pytest.fixture(scope="module")
def small(fingerprint_of):
    return make_plan(fingerprint_of([(35, 50, 36)] * 50, (1, 1, 1)), device="cpu", minutes=10)


# ---- strictness: the path of the wrong field is in the message


def edited(plan, path, value):
    tree = json.loads(plan.to_json())
    *parents, last = path.split(".")
    node = tree
    for part in parents:
        node = node[part]
    node[last] = value
    return json.dumps(tree)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("training.learningrate", 1, r"training\.learningrate: Extra inputs"),
        ("configurations.2d.batch", "four", r"configurations\.2d\.batch: .*'four'"),
        ("configurations.2d.batch", 2.5, r"configurations\.2d\.batch"),
        ("configurations.2d.batch", 0, r"configurations\.2d\.batch: .*greater than or equal to 1"),
        (
            "configurations.3d_fullres.patch",
            [64, 64],
            r"configurations\.3d_fullres\.patch\[2\]: Field required",
        ),
        (
            "configurations.3d_fullres.patch",
            [64, 64, 7],
            r"3d_fullres: .*patch \[64, 64, 7\] is not a multiple",
        ),
        ("configurations.3d_fullres.spacing", [1, 1, -1], r"spacing\[2\]: .*greater than 0"),
        ("configurations.4d", {}, r"configurations\.4d"),
        ("training.precision", "fp8", r"training\.precision: .*'fp8'"),
        ("training.mirror_axes", [3], r"training\.mirror_axes\[0\]"),
        ("use", ["2d", "3d"], r"use\[1\]: .*'3d'"),
        ("use", [], r"use: "),
        ("train_folds", [], r"train_folds: "),
        ("version", 2, r"version: .*\(got 2\)"),
        ("channels", [], r"channels: "),
    ],
)
def test_a_field_that_does_not_fit_is_named_with_its_path(plan, path, value, said):
    with pytest.raises(RecordError, match=f"plan.json: .*\n.*{said}"):
        Plan.from_json(edited(plan, path, value), where="plan.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use": ("2d", "3d_lowres")}, "use names '3d_lowres'; there are"),
        ({"train_folds": (0, 5)}, r"train_folds are different numbers below 5, got \[0, 5\]"),
        ({"train_folds": (0, -1)}, "train_folds are different numbers below 5"),
        ({"train_folds": (1, 1)}, "train_folds are different numbers below 5"),
        ({"augmentation": {}}, "augmentation needs one entry per configuration"),
    ],
)
def test_a_plan_that_does_not_hold_together_is_refused(small, change, said):
    with pytest.raises(ValueError, match=said):
        small.but(**change)


@pytest.mark.parametrize("previous", ["3d_lowres", "3d_fullres"])
def test_a_cascade_reads_another_configuration_of_the_plan(small, previous):
    wrong = small.configuration("3d_fullres").but(previous=previous)
    with pytest.raises(
        ValueError, match=f"configurations.3d_fullres.previous is '{previous}', which is no other"
    ):
        small.but(configurations={**small.configurations, "3d_fullres": wrong})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": FLAT}, "a 2D network does not fit a 3D patch"),
        ({"patch": (33, 32, 7)}, r"patch \[33, 32, 7\] is not a multiple of \[2, 2, 1\]"),
        ({"network": FLAT, "slice_axis": 2}, r"patch \[32, 32, 7\] is not 1 along slice_axis 2"),
    ],
)
def test_a_patch_fits_its_network(change, said):
    with pytest.raises(ValueError, match=said):
        CONFIGURATION.but(**change)


def test_the_edges_are_what_the_network_sees():
    assert CONFIGURATION.edges == (32, 32, 7)
    assert CONFIGURATION.but(patch=(32, 1, 6), slice_axis=1, network=FLAT).edges == (32, 6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"features": (4,)}, "1 stages need 1 strides, kernels and encoder_blocks and 0 decoder_blocks"),
        ({"decoder_blocks": ()}, "2 stages need .* 1 decoder_blocks"),
        ({"strides": ((1, 1), (2, 2, 2))}, r"strides and kernels have 2 or 3 entries each, got \[2, 3\]"),
        ({"kernels": ((3, 3), (2, 3))}, "kernel sizes are odd"),
    ],
)
def test_a_network_that_does_not_hold_together_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        FLAT.but(**change)


def test_the_divisor_is_the_product_of_the_strides():
    assert SOLID.divisor == (2, 2, 1)
    assert (SOLID.dims, FLAT.dims) == (3, 2)


def test_a_ct_window_needs_its_numbers():
    with pytest.raises(ValueError, match="rule 'ct' needs low, high, mean and sd"):
        Normalization(rule="ct", low=0, high=1, mean=0)


def test_a_median_filter_is_odd():
    with pytest.raises(ValueError, match="size of a median filter is odd"):
        Denoise(rule="median", size=4)


def test_an_interval_ascends():
    with pytest.raises(ValueError, match=r"gamma is an interval \(low, high\), got \[2.0, 1.0\]"):
        Augmentation(gamma=(2.0, 1.0))


@pytest.mark.parametrize("ends", [{}, {"steps": 5, "minutes": 5}])
def test_a_training_has_one_end(ends):
    with pytest.raises(ValueError, match="give either steps or minutes"):
        Training(optimizer="sgd", learning_rate=1, weight_decay=0, schedule="poly", **ends)


def test_a_weighted_loss_needs_weights_and_they_are_one_per_output(small):
    how = {"optimizer": "sgd", "learning_rate": 1, "weight_decay": 0, "schedule": "poly", "steps": 1}
    with pytest.raises(ValueError, match="loss 'weighted_ce' needs class_weights, one per output"):
        Training(**how, loss="weighted_ce")
    training = Training(**how, loss="weighted_ce", class_weights=(1.0,) * 7)
    with pytest.raises(ValueError, match=r"class_weights are one per output .*, got 7"):
        small.but(training=training)


def test_a_loss_that_nobody_knows_is_refused_with_those_there_are(small):
    with pytest.raises(RecordError, match=r"training\.loss: Input should be 'dice_ce', 'dice_weighted_ce'"):
        small.set_by_hand("training.loss", "dise_ce")


def test_a_plan_from_before_there_were_these_fields_loads(small):
    tree = json.loads(small.to_json())
    for field in ("accumulate", "class_weights", "hard_cases", "freeze", "thaw_after", "encoder_rate"):
        del tree["training"][field]
    before = small.but(training=small.training.but(class_weights=None))
    assert Plan.from_json(json.dumps(tree), where="x") == before


# ---- asking


def test_the_first_configuration_in_use_is_meant_where_none_is_named(plan):
    assert plan.first == "3d_fullres"
    assert plan.configuration() == plan.configuration("3d_fullres") == plan.configurations["3d_fullres"]


def test_a_configuration_that_is_not_there_is_refused(small):
    with pytest.raises(PlanError, match="the plan has no configuration '3d_lowres'; it has 2d, 3d_fullres"):
        small.configuration("3d_lowres")


def test_spacing_in_words():
    assert describe_spacing((0.9, 0.9, 3)) == "0.9 x 0.9 x 3 mm"


# ---- by hand


def test_what_is_set_by_hand_is_remembered(small):
    changed = small.set_by_hand("configurations.3d_fullres.batch", 4)
    assert changed.configuration().batch == 4
    assert changed.reasons["configurations.3d_fullres.batch"] == "set by hand (was 2)"
    assert Plan.from_json(changed.to_json(), where="x") == changed
    assert small.configuration().batch == 2


def test_what_is_set_by_hand_again_is_as_it_was(small):
    changed = small.set_by_hand("batch", 4)
    assert changed.set_by_hand("batch", 4) == changed
    assert changed.set_by_hand("batch", 3).reasons["configurations.3d_fullres.batch"].endswith("(was 4)")
    unit = small.set_by_hand("channels.0.normalization", {"rule": "unit"})
    assert unit.set_by_hand("channels.0.normalization", {"rule": "unit"}) == unit


@pytest.mark.parametrize(
    ("path", "full", "value"),
    [
        ("batch", "configurations.3d_fullres.batch", 4),
        ("network.features", "configurations.3d_fullres.network.features", [8, 16, 32, 64]),
        ("minutes", "training.minutes", 3.5),
        ("gamma", "augmentation.3d_fullres.gamma", [0.9, 1.1]),
        ("2d.batch", "configurations.2d.batch", 3),
        ("train_folds", "train_folds", [0, 2]),
        ("denoise.rule", "channels.0.denoise.rule", "median"),
        ("channels.0.normalization", "channels.0.normalization", {"rule": "unit"}),
    ],
)
def test_unique_endings_are_completed(small, path, full, value):
    changed = small.set_by_hand(path, value)
    assert changed.reasons[full].startswith("set by hand (was ")
    node = json.loads(changed.to_json())
    for part in full.split("."):
        node = node[int(part) if isinstance(node, list) else part]
    assert node == value or value.items() <= node.items()


def test_setting_the_steps_lifts_the_minutes(small):
    changed = small.set_by_hand("training.steps", 100)
    assert (changed.training.steps, changed.training.minutes) == (100, None)
    assert changed.set_by_hand("training.minutes", 2).training.steps is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("rule", "'rule' is not unique in the plan: channels.0.normalization.rule, channels.0.denoise.rule"),
        ("batc", "the plan has no field 'batc' that can be set. Near to it: batch"),
        ("training.lerning_rate", "Near to it: training.learning_rate"),
        ("xyzzy", "Open plan.json to see the fields"),
        ("dataset", "the plan has no field 'dataset' that can be set"),
        ("channels.7.name", "the plan has no field 'channels.7.name'"),
    ],
)
def test_a_field_that_is_not_there_is_refused(small, path, said):
    with pytest.raises(PlanError, match=said):
        small.set_by_hand(path, 1)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            "batch",
            "four",
            r"plan with configurations.3d_fullres.batch = \"four\": .*\n  configurations.3d_fullres.batch",
        ),
        ("patch", [40, 56, 41], r"3d_fullres: .*patch \[40, 56, 41\] is not a multiple of \[8, 8, 8\]"),
        ("use", ["3d_lowres"], "use names '3d_lowres'"),
        ("training.minutes", -1, r"training.minutes: Input should be greater than 0 \(got -1\)"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_path(small, path, value, said):
    with pytest.raises(RecordError, match=said):
        small.set_by_hand(path, value)
