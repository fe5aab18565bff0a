"""Imperfect labels: several raters, scribbles, and labels that a model made, each as a change of the plan.

Sources: averaged raters with the semimetric Dice, Wang 2023, doi:10.1007/978-3-031-43898-1_46 (the usual soft
Dice would rather have 0 and 1 than the raters' own shares); scribbles with an ignore label, Gotkowski 2024,
arXiv:2403.12834.
"""

from __future__ import annotations

from delineate.errors import PlanError
from delineate.planning.plan import Plan

RATER_LOSS = "semimetric_ce"


def learning_from_raters(plan: Plan) -> Plan:
    """The plan that learns what share of the raters said so, with a loss that is least there."""
    if plan.training.targets == "raters":
        return plan
    return plan.but(
        training=plan.training.but(targets="raters", loss=RATER_LOSS),
        reasons=plan.reasons
        | {
            "training.targets": "asked for: what share of the raters said so, not what most of them did",
            "training.loss": "the semimetric Dice is least at the raters' own shares; others round them",
        },
    )


def learning_from_scribbles(plan: Plan) -> Plan:
    """The plan whose patches are all centred on something that was marked, every class as often.

    Raises:
        PlanError: the labels have no ignore label: then nothing says what was not marked.
    """
    if plan.labels.ignore is None:
        names = ", ".join(f'"{label.name}": {label.value}' for label in plan.labels.labels)
        last = max(plan.labels.values)
        raise PlanError(
            "scribbles leave most voxels unmarked, and these labels have no ignore label for them. Say so in "
            "the label table, with a value for marked background, for example "
            f'{{"background": {last + 1}, {names}, "ignore": 0}}.'
        )
    if plan.training.patches == "classes":
        return plan
    return plan.but(
        training=plan.training.but(patches="classes"),
        reasons=plan.reasons
        | {
            "training.patches": "asked for (scribbles): every patch is centred on a marked voxel, background "
            "marked as often as the rest: little is marked, and unmarked voxels teach nothing"
        },
    )


def weighing_pseudo_labels(plan: Plan, weight: float) -> Plan:
    """The plan that draws cases labelled by a model `weight` times as often as those of people.

    Raises:
        PlanError: the weight is not above 0 and at most 1.
    """
    if not 0 < weight <= 1:
        raise PlanError(
            f"pseudo_weight is above 0 and at most 1, got {weight:g}; to weigh cases 0, leave them out."
        )
    if weight == plan.training.pseudo_weight:
        return plan
    why = f"asked for: a case labelled by a model is drawn {weight:g} times as often as one of people"
    return plan.but(
        training=plan.training.but(pseudo_weight=weight),
        reasons=plan.reasons | {"training.pseudo_weight": why},
    )
