"""Taught: a plan with one of the two teaching networks in place of the planned one."""

from __future__ import annotations

from typing import Literal, get_args

from delineate.errors import PlanError
from delineate.planning import Plan

SeedKind = Literal["seed_unet2d", "seed_unet3d"]


def with_network(plan: Plan, kind: SeedKind) -> Plan:
    """The plan with a teaching network in every configuration of its dimension that the plan uses.

    Patches grow to the next size that the network can halve often enough.

    Raises:
        PlanError: no configuration in use has that dimension, or there is no such network.
    """
    from delineate.networks import seed_spec

    if kind not in get_args(SeedKind):
        raise PlanError(f"there is no network {kind!r}; there are {', '.join(get_args(SeedKind))}.")
    spec = seed_spec(kind)
    names = [name for name in plan.use if plan.configuration(name).network.dims == spec.dims]
    if not names:
        raise PlanError(
            f"{kind} is a {spec.dims}D network, and the plan uses {', '.join(plan.use)}. "
            f"Choose another with  --use  or the other teaching network."
        )
    for name in names:
        configuration = plan.configuration(name)
        if configuration.network == spec:
            continue
        axes = [axis for axis in range(3) if axis != configuration.slice_axis]
        patch = list(configuration.patch)
        for axis, step in zip(axes, spec.divisor, strict=True):
            patch[axis] = -(-patch[axis] // step) * step
        plan = plan.set_by_hand(
            f"configurations.{name}",
            configuration.model_dump(mode="json") | {"network": spec.model_dump(mode="json"), "patch": patch},
        )
    return plan
