"""Crowd: workers who are not experts, judged on tasks whose answer is known.

A worker's score is the mean Dice on these gold tasks (1 where nothing was to be found and nothing was drawn).
Below a stated score, or without any gold task, they take no part. The vote of the others weighs the logarithm
of their odds to be right, which is the best there is for voters who err independently. Right is the mean of
sensitivity and specificity within the field of view, drawn towards a coin by one right and one wrong task
that nobody did: a worker with two perfect tasks is not yet trusted like one with twenty.

Sources: Nitzan and Paroush 1982, doi:10.2307/2526438 (log odds); Laplace's rule of succession.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from delineate.errors import DataError
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.raters.decisions import Decisions
from delineate.evaluation.raters.fusion import check_maps
from delineate.record import Record
from delineate.space import LabelMap

Task = Callable[[str], tuple[LabelMap, Mapping[str, LabelMap]]]  # case -> answer, and worker -> map

LEAST = 0.7  # mean Dice: a worker who overlaps less than this has seldom found the structure
AROUND_MM = 5.0  # there is always something that was rightly left out
ANSWER = "the known answer"


class GoldRules(Record):
    """Who may take part.

    least      mean Dice on the tasks with a known answer
    tasks      how many of these somebody must have done
    margin_mm  specificity is that of what anybody drew and so much around it; None: of the whole scan
    """

    least: Annotated[float, Field(ge=0, le=1)] = LEAST
    tasks: Annotated[int, Field(ge=1)] = 1
    margin_mm: Annotated[float, Field(ge=0)] | None = AROUND_MM


class Worker(Record):
    """One worker on the tasks with a known answer.

    score   mean Dice; None without a task
    right   mean of sensitivity and specificity, drawn towards 0.5
    weight  of a vote: log odds of being right; 0 for who takes no part
    why     they take no part, or None
    """

    name: str
    tasks: int
    score: float | None
    right: float | None
    weight: float
    why: str | None

    @property
    def passes(self) -> bool:
        """Whether the worker takes part."""
        return self.why is None


class Crowd(Record):
    """All workers, as the gold tasks judge them."""

    rules: GoldRules
    tasks: tuple[str, ...]
    workers: tuple[Worker, ...]

    @property
    def weights(self) -> dict[str, float]:
        """Worker -> weight, of those who take part."""
        return {worker.name: worker.weight for worker in self.workers if worker.passes}

    def to_markdown(self) -> str:
        """A line per worker."""
        rows = [
            [
                worker.name,
                str(worker.tasks),
                "-" if worker.score is None else f"{worker.score:.3f}",
                f"{worker.weight:.2f}",
                worker.why or "takes part",
            ]
            for worker in self.workers
        ]
        return markdown_table(["worker", "gold tasks", "mean Dice", "weight", ""], rows) + "\n"


def judge_workers(
    tasks: Sequence[str], load: Task, workers: Sequence[str], rules: GoldRules | None = None
) -> Crowd:
    """What the tasks with a known answer say of the workers.

    Raises:
        DataError: no task, or nobody takes part.
        GeometryError: an answer and a worker's map are on different grids.
    """
    rules = rules or GoldRules()
    if not tasks:
        raise DataError("no task with a known answer: give some of the cases that the workers labelled.")
    scores: dict[str, list[float]] = {worker: [] for worker in workers}
    rights: dict[str, list[float]] = {worker: [] for worker in workers}
    for case in tasks:
        answer, maps = load(case)
        check_maps({ANSWER: answer, **maps}, case=case)
        for worker, drawn in maps.items():
            score, right = _judged(answer, drawn, rules)
            scores[worker].append(score)
            rights[worker].append(right)
    found = tuple(_worker(name, scores[name], rights[name], rules) for name in workers)
    crowd = Crowd(rules=rules, tasks=tuple(tasks), workers=found)
    if not crowd.weights:
        reasons = "; ".join(f"{worker.name}: {worker.why}" for worker in found)
        raise DataError(f"nobody takes part: {reasons}. Lower the score, or find other workers.")
    return crowd


def _judged(answer: LabelMap, drawn: LabelMap, rules: GoldRules) -> tuple[float, float]:
    """Mean Dice and mean of sensitivity and specificity over the structures of one task."""
    decisions = Decisions.of((answer, drawn), margin_mm=rules.margin_mm)
    scores: list[float] = []
    rights: list[float] = []
    for values in answer.schema.structures.values():
        votes = decisions.votes(values)
        truth = votes[:, 0]
        scores.append(decisions.dice(votes, truth)[1])
        rights += [rate[1] for rate in decisions.rates(votes, truth.astype(float))]
    there = [right for right in rights if not np.isnan(right)]
    return float(np.nan_to_num(scores, nan=1.0).mean()), float(np.mean(there)) if there else 0.5


def _worker(name: str, scores: Sequence[float], rights: Sequence[float], rules: GoldRules) -> Worker:
    tasks = len(scores)
    score = float(np.mean(scores)) if tasks else None
    right = (sum(rights) + 1) / (tasks + 2) if tasks else None
    weight = float(np.log(right / (1 - right))) if right and right > 0.5 else 0.0
    why = _reason(tasks, score, weight, rules)
    return Worker(name=name, tasks=tasks, score=score, right=right, weight=0.0 if why else weight, why=why)


def _reason(tasks: int, score: float | None, weight: float, rules: GoldRules) -> str | None:
    if score is None or tasks < rules.tasks:
        return f"did {tasks} of the {rules.tasks} tasks with a known answer that are asked for"
    if score < rules.least:
        return f"mean Dice {score:.3f} on them, below {rules.least:g}"
    return None if weight else "right no more often than a coin"
