"""Optimizers: the rules by which weights may change, each with the numbers that its authors start from."""

from __future__ import annotations

from dataclasses import dataclass

from delineate.errors import PlanError
from delineate.planning.plan import OptimizerName, Plan


@dataclass(frozen=True)
class Start:
    """Where a rule starts, and who says so."""

    learning_rate: float
    weight_decay: float
    source: str
    momentum: float | None = None


STARTS: dict[OptimizerName, Start] = {
    "sgd": Start(1e-2, 3e-5, "nnU-Net's (Isensee 2021): Nesterov momentum", momentum=0.99),
    "adam": Start(1e-3, 0.0, "Kingma 2015, arXiv:1412.6980, section 2"),
    "adamw": Start(1e-3, 1e-2, "Loshchilov 2019, arXiv:1711.05101; torch's defaults"),
    "muon": Start(
        1e-3,
        1e-2,
        "Jordan 2024; steps as long as AdamW's (Liu 2025, arXiv:2502.16982), so AdamW's rate",
        momentum=0.95,
    ),
}


def optimised(plan: Plan, name: str) -> Plan:
    """The plan with another rule and the numbers that go with it; the reasons say whose they are.

    Raises:
        PlanError: there is no such rule.
    """
    found = next((known for known in STARTS if known == name), None)
    if found is None:
        raise PlanError(f"there is no optimizer {name!r}; there are {', '.join(STARTS)}.")
    if plan.training.optimizer == found:
        return plan
    start = STARTS[found]
    momentum = plan.training.momentum if start.momentum is None else start.momentum
    numbers = {"learning_rate": start.learning_rate, "weight_decay": start.weight_decay, "momentum": momentum}
    reasons = {f"training.{field}": start.source for field in numbers} | {"training.optimizer": "asked for"}
    training = plan.training.but(optimizer=found, **numbers)
    return plan.but(training=training, reasons=plan.reasons | reasons)
