"""Clean-up: removing what is apart from the largest piece of a structure, where that was shown to help.

It deletes second kidneys and multiple lesions, so it is adopted only where the cross-validated Dice rises
and no structure's falls. Source: Isensee 2021, doi:10.1038/s41592-020-01008-z, Methods, "postprocessing".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt

from delineate.errors import DataError
from delineate.networks.model import CleanUp
from delineate.space import LabelMap, LabelSchema

Mask = npt.NDArray[np.bool_]  # (i, j, k)
Array = npt.NDArray[Any]
Pair = tuple[LabelMap, LabelMap]  # reference, prediction

SAME_PLACE = 0.1  # voxels: what rounding in a file's header may move
FOREGROUND = "all structures together"  # how `reasons` names the first step


def cleaned(labels: LabelMap, cleanup: CleanUp) -> LabelMap:
    """The labels without the pieces that `cleanup` removes; cleaning again changes nothing more."""
    structures = _structures(labels.schema, cleanup)
    array = labels.array.copy()
    while _clean(array, structures) and len(structures) > 1:
        pass  # what one structure lost may have held two pieces of another together
    return LabelMap(array, labels.geometry, labels.schema, labels.notes)


def largest(mask: Mask) -> Mask:
    """The largest piece of a mask, corners connecting (26 neighbours); of equal ones the first."""
    pieces = cc3d.connected_components(np.ascontiguousarray(mask).view(np.uint8), connectivity=26)
    sizes = np.bincount(pieces.ravel())[1:]
    return np.asarray(pieces == 1 + int(sizes.argmax())) if len(sizes) else mask


def learn_cleanup(pairs: Iterable[Pair]) -> CleanUp:
    """What to clean up, by predictions of cases that their networks had not seen.

    First all structures together: adopted where the mean Dice rises. Then each structure on its own:
    adopted where its Dice rises. Neither may lower the mean Dice of any structure.

    pairs  (reference, prediction) of each case; iterated several times, so that they need not all be
           in memory: a list, or an object whose `__iter__` reads them anew
    """
    schema = next((reference.schema for reference, _ in pairs), None)
    if schema is None:
        raise DataError("no predictions to learn a clean-up from: expected at least one case.")
    names = list(schema.structures)
    rounds = [names] if schema.exclusive else [[name] for name in names]
    chosen = CleanUp()
    for candidates in [[FOREGROUND], *rounds]:
        chosen = _extended(pairs, chosen, candidates)
    return chosen


def _extended(pairs: Iterable[Pair], chosen: CleanUp, candidates: Sequence[str]) -> CleanUp:
    """`chosen` with those candidates that help, each tried alone, then all of them together."""
    before, *after = _mean_dice(pairs, [chosen, *(_with(chosen, name) for name in candidates)])
    good = [name for name, dice in zip(candidates, after, strict=True) if _helps(name, before, dice)]
    reasons = {
        name: _reason(name, before, dice, name in good) for name, dice in zip(candidates, after, strict=True)
    }
    together = chosen.but(reasons=chosen.reasons | reasons)
    for name in good:
        together = _with(together, name)
    if len(good) < 2 or not _worse(before, _mean_dice(pairs, [together])[0]):
        return together
    for name in good:  # they get in each other's way: one after the other
        chosen = _extended(pairs, chosen, [name])
    return chosen.but(reasons=reasons | chosen.reasons)


def _with(cleanup: CleanUp, name: str) -> CleanUp:
    if name == FOREGROUND:
        return cleanup.but(foreground=True)
    return cleanup.but(structures=(*cleanup.structures, name))


def _helps(name: str, before: dict[str, float], after: dict[str, float]) -> bool:
    return _judged(name, after) > _judged(name, before) and not _worse(before, after)


def _judged(name: str, dice: dict[str, float]) -> float:
    return float(np.mean(list(dice.values()))) if name == FOREGROUND else dice[name]


def _worse(before: dict[str, float], after: dict[str, float]) -> bool:
    return any(after[name] < before[name] for name in before)


def _reason(name: str, before: dict[str, float], after: dict[str, float], good: bool) -> str:
    fallen = [n for n in before if after[n] < before[n]]
    change = f"mean Dice {_judged(name, before):.4f} to {_judged(name, after):.4f}"
    worse = f", but {', '.join(fallen)} got worse" if fallen else ""
    return f"{change}{worse}: {'adopted' if good else 'left as it is'}"


def _mean_dice(pairs: Iterable[Pair], cleanups: Sequence[CleanUp]) -> list[dict[str, float]]:
    """Per clean-up the mean Dice of each structure over the cases in which it is defined."""
    cases = [_case_dice(reference, prediction, cleanups) for reference, prediction in pairs]
    if not cases:
        raise DataError(
            "the predictions can be iterated only once; give a list, or an object that reads them anew."
        )
    return [
        {name: _mean([case[n][name] for case in cases]) for name in cases[0][n]} for n in range(len(cleanups))
    ]


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def _case_dice(
    reference: LabelMap, prediction: LabelMap, cleanups: Sequence[CleanUp]
) -> list[dict[str, float | None]]:
    tolerance_mm = SAME_PLACE * min(reference.geometry.spacing)
    if not reference.geometry.same_place(prediction.geometry, tolerance_mm=tolerance_mm):
        raise DataError(
            f"a prediction on {prediction.geometry!r} has its reference on another grid, "
            f"{reference.geometry!r}. Resample the prediction onto its scan first."
        )
    schema = reference.schema
    truth = np.searchsorted(schema.values, reference.array)
    counted = _counts(truth, prediction.array, schema)
    result = []
    for cleanup in cleanups:
        array = cleaned(prediction, cleanup).array
        changed = array != prediction.array
        gone = _counts(truth[changed], prediction.array[changed], schema)
        kept = _counts(truth[changed], array[changed], schema)
        result.append(_dice(counted - gone + kept, schema))
    return result


def _counts(truth: Array, array: Array, schema: LabelSchema) -> Array:
    """How many voxels have which reference value (rows) and which predicted value (columns)."""
    n = len(schema.values)
    both = truth.astype(np.int64) * n + np.searchsorted(schema.values, array)
    return np.bincount(both.ravel(), minlength=n * n).reshape(n, n)


def _dice(counts: Array, schema: LabelSchema) -> dict[str, float | None]:
    """Dice of each structure; None where neither map has it. Unannotated voxels do not count."""
    from delineate.evaluation.overlap import Confusion  # who only cleans does not wait for it

    values = list(schema.values)
    known = np.array([value != schema.ignore for value in values])
    counts = counts * known[:, None]
    dice: dict[str, float | None] = {}
    for name, members in schema.structures.items():
        rows = [values.index(member) for member in members]
        shared, there, found = (
            int(part.sum()) for part in (counts[np.ix_(rows, rows)], counts[rows], counts[:, rows])
        )
        rest = int(counts.sum()) - there - found + shared
        dice[name] = Confusion(shared, found - shared, there - shared, rest).dice()
    return dice


def _clean(array: Array, structures: list[tuple[int, ...]]) -> bool:
    """Removes small pieces in place; whether there were any."""
    from scipy import ndimage  # heavy: only who needs it waits

    boxes = ndimage.find_objects(array)  # by value, from 1; None where there is no such voxel
    changed = False
    for values in structures:
        where = _around([boxes[value - 1] for value in values if value <= len(boxes)])
        if where is None:
            continue
        part = array[where]
        mask = np.isin(part, values)
        lost = mask & ~largest(mask)
        part[lost] = 0
        changed |= bool(lost.any())
    return changed


def _around(boxes: Sequence[tuple[slice, ...] | None]) -> tuple[slice, ...] | None:
    """The box around boxes."""
    there = [box for box in boxes if box is not None]
    if not there:
        return None
    return tuple(
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*there, strict=True)
    )


def _structures(schema: LabelSchema, cleanup: CleanUp) -> list[tuple[int, ...]]:
    unknown = sorted(set(cleanup.structures) - set(schema.structures))
    if unknown:
        raise DataError(
            f"the clean-up names {', '.join(unknown)}, which are not among {', '.join(schema.structures)}."
        )
    everything = tuple(label.value for label in schema.labels)
    whole = [everything] if cleanup.foreground else []
    return whole + [values for name, values in schema.structures.items() if name in cleanup.structures]
