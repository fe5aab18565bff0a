"""Styles: what a user may choose of a plan on top of what the planner decides, each with its numbers."""

from __future__ import annotations

from delineate.dataset import Dataset
from delineate.pipeline.watch import Watch
from delineate.pipeline.wishes import PlanWishes
from delineate.planning import Plan
from delineate.planning.architectures import with_kernels
from delineate.planning.generalize import augmented, is_matched, matched, measurable, unmatched
from delineate.planning.optimizers import optimised


def styled(plan: Plan, dataset: Dataset, wishes: PlanWishes, watch: Watch) -> Plan:
    """The plan with the rule, the augmentation and the normalisation that are asked for.

    Raises:
        PlanError: histograms are to be matched of channels whose values mean the same in every scan; or the
            network has no choice of kernels.
    """
    if wishes.kernel is not None:
        plan = with_kernels(plan, wishes.kernel)
    if wishes.optimizer is not None:
        plan = optimised(plan, wishes.optimizer)
    if wishes.augment is not None:
        plan = augmented(plan, wishes.augment)
    if wishes.normalize == "scan":
        plan = unmatched(plan)
    if wishes.normalize == "histogram" and not is_matched(plan):
        plan = _matched(plan, dataset, watch)
    return plan


def _matched(plan: Plan, dataset: Dataset, watch: Watch) -> Plan:
    from delineate.preparation.landmarks import learn_landmarks

    if not measurable(plan):
        return matched(plan, {}, 0)
    with watch.stage("landmarks") as progress:
        return matched(plan, learn_landmarks(dataset, plan, progress=progress), len(dataset.cases))
