"""Class weights, by hand."""

import pytest

from delineate.planning import make_plan
from delineate.planning.imbalance import class_weights
from delineate.space import Label, LabelSchema, Region

TUMOUR = LabelSchema(
    labels=(Label(value=1, name="oedema"), Label(value=2, name="core")),
    regions=(Region(name="whole", values=(1, 2), paints=1), Region(name="core", values=(2,), paints=2)),
)


def test_all_classes_together_weigh_the_same(fingerprint_of):
    found = fingerprint_of([(10, 10, 10)] * 2, (1, 1, 1))  # 100 voxels of each label in each case
    weights, why = class_weights(found)
    assert weights == pytest.approx((1000 / (3 * 800), 1000 / 300, 1000 / 300), rel=1e-3)
    assert weights[0] * 800 == pytest.approx(weights[1] * 100, rel=1e-3)
    assert "all voxels over 3 times those of the class, at most 50" in why


def test_rare_classes_weigh_at_most_fifty(fingerprint_of):
    found = fingerprint_of([(100, 100, 100)], (1, 1, 1))
    assert class_weights(found)[0] == pytest.approx((0.3334, 50, 50))
    absent = found.but(cases=tuple(case.but(label_voxels=(0, 100)) for case in found.cases))
    assert class_weights(absent)[0][1] == 50


def test_of_a_region_the_inside_weighs_against_the_outside(fingerprint_of):
    weights, why = class_weights(fingerprint_of([(10, 10, 10)], (1, 1, 1), labels=TUMOUR))
    assert weights == (800 / 200, 900 / 100)
    assert "outside the region over those inside" in why
    full = fingerprint_of([(10, 10, 2)], (1, 1, 1), labels=TUMOUR)
    assert class_weights(full)[0] == (1 / 50, 1)


def test_where_not_all_is_annotated_there_are_no_weights(fingerprint_of):
    weights, why = class_weights(
        fingerprint_of([(10, 10, 10)], (1, 1, 1), labels=LabelSchema.of("a", "b").but(ignore=9))
    )
    assert weights is None
    assert "how many are background is not known" in why


def test_a_plan_holds_the_weights_and_their_reason(fingerprint_of):
    plan = make_plan(fingerprint_of([(35, 50, 36)] * 9, (1, 1, 1)))
    assert len(plan.training.class_weights) == 3
    assert "only weighted losses use them" in plan.reasons["training.class_weights"]
    assert plan.set_by_hand("training.loss", "weighted_ce").training.loss == "weighted_ce"
