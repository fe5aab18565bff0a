"""Table: a plan as rows of field, value and reason, for printing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from delineate.planning.plan import Plan

FACTS = ("version", "dataset", "fingerprint", "labels", "reasons")  # not decided, only written down


def plan_table(plan: Plan, names: Sequence[str] | None = None) -> list[tuple[str, str, str]]:
    """Field, value and reason of everything that was decided, for the configurations in use (or `names`).

    A field without a reason of its own shows the one of what it belongs to.
    """
    names = plan.use if names is None else names
    return [
        (path, _shown(value), _reason(plan.reasons, path))
        for path, value in _fields(plan.model_dump(mode="json"))
        if path.split(".")[0] not in FACTS and _is_shown(path, names, plan.reasons)
    ]


def _is_shown(path: str, names: Sequence[str], reasons: dict[str, str]) -> bool:
    """Configurations in use; of the many numbers of augmentation those with a reason of their own."""
    group, _, rest = path.partition(".")
    if group == "configurations":
        return rest.split(".")[0] in names
    if group == "augmentation":
        return rest.split(".")[0] in names and (path in reasons or rest.endswith(".preset"))
    return True


def _fields(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path; lists are leaves, but for lists of records."""
    items: Any = None
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list) and tree and isinstance(tree[0], dict):
        items = enumerate(tree)
    if items is None or _is_one(tree):
        yield path, tree
        return
    for key, item in items:
        yield from _fields(item, f"{path}.{key}" if path else str(key))


def _is_one(tree: Any) -> bool:
    return isinstance(tree, dict) and "normalization" in tree


def _reason(reasons: dict[str, str], path: str) -> str:
    while path:
        if path in reasons:
            return reasons[path]
        path = path.rpartition(".")[0]
    return ""


def _shown(value: Any) -> str:
    match value:
        case None:
            return "-"
        case True | False:
            return "yes" if value else "no"
        case {"name": name, "normalization": rule, "denoise": denoise}:
            extra = f", {denoise['rule']}" if denoise["rule"] != "none" else ""
            return f"{name}: {rule['rule']}{' (masked)' if rule['masked'] else ''}{extra}"
        case [[*_], *_]:
            return ", ".join("x".join(map(str, row)) for row in value)
        case float():
            return f"{value:.6g}"
        case [*items]:
            return ", ".join(f"{n:.4g}" if isinstance(n, float) else str(n) for n in items) or "-"
        case _:
            return str(value)
