"""Missing: what each channel is worth, measured by taking it away from cases that were not learnt from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from delineate.errors import RunError
from delineate.evaluation import Rules, evaluate_case
from delineate.evaluation.assessment import SEED
from delineate.evaluation.statistics import Bootstrap
from delineate.inference import cleaned
from delineate.io.disk import write_text
from delineate.networks import Degraded, Loss
from delineate.pipeline.fold import WEIGHTS, fold_digest, fold_segmenter
from delineate.pipeline.judge import CHOICE, Choice, Judge
from delineate.pipeline.run_folder import Run
from delineate.pipeline.watch import Watch
from delineate.space import LabelMap, Volume

MISSING = "evaluation/missing_channels.json"
DICE_ONLY = Rules(metrics=("dice",))

Dice = Mapping[str, float | None]  # structure -> Dice of one case


def without(scan: Volume, name: str) -> Volume:
    """The scan as if one of its channels had never been taken."""
    kept = [n for n, channel in enumerate(scan.channels) if channel != name]
    return replace(scan, array=scan.array[kept], channels=tuple(scan.channels[n] for n in kept))


def measure_missing(run: Run, device: str, watch: Watch) -> Degraded:
    """What the chosen networks lose without each channel that a scan may lack; kept in the run.

    Cases that lack a channel themselves are left out: there is nothing to compare them with.

    Raises:
        RunError: the run was not evaluated yet, its networks did not learn to do without any channel, or
            no case has all of them.
    """
    if not run.has(CHOICE):
        raise RunError(f"{run.folder}: was not evaluated yet. Do so with:  delineate evaluate {run.folder}")
    plan, choice = run.plan(), Choice.load(run.folder / CHOICE)
    if not plan.dispensable:
        raise RunError(
            f"{run.folder}: its networks did not learn to do without any channel, and refuse scans that lack "
            "one. Start a run with  --channel-dropout 0.2, or with cases that lack an optional channel."
        )
    trial = _Trial(Judge(run, plan, run.dataset(), run.splits(), device, watch), choice)
    trial.measure()
    measured = Degraded(
        channels=tuple(channel.name for channel in plan.channels),
        cases=len(trial.cases),
        losses=tuple(trial.losses()),
        made_from=made_from(run, choice.use),
    )
    write_text(run.folder / MISSING, measured.to_json())
    write_text((run.folder / MISSING).with_suffix(".md"), f"# Missing channels\n\n{measured.to_markdown()}")
    return measured


def made_from(run: Run, use: tuple[str, ...]) -> str:
    """What the figures depend on: the weights of every fold that is trained."""
    plan = run.plan()
    folds = [n for n in range(plan.folds) if all((run.fold(name, n) / WEIGHTS).is_file() for name in use)]
    return "/".join(fold_digest(run, plan, use, fold) for fold in folds)


def measured_missing(run: Run, use: tuple[str, ...]) -> Degraded | None:
    """What was measured of the networks as they are; None where nothing was.

    Raises:
        RunError: the networks were trained anew since.
    """
    if not run.has(MISSING):
        return None
    found = Degraded.load(run.folder / MISSING)
    if found.made_from != made_from(run, use):
        raise RunError(
            f"{run.folder / MISSING}: was measured on other networks than those that are there now. Measure "
            f"again:  delineate evaluate {run.folder} --missing-channels  or delete that file."
        )
    return found


@dataclass(frozen=True)
class _Trial:
    """Cases that were segmented with all their channels, and are again without each.

    choice  which networks are given away, and what is cleaned up after them
    found   (case, missing channel or "") -> Dice by structure
    """

    judge: Judge
    choice: Choice
    found: dict[tuple[str, str], Dice] = field(default_factory=dict)

    @property
    def cases(self) -> tuple[str, ...]:
        """Those with all channels."""
        dataset = self.judge.dataset
        return tuple(case for case in self.judge.cases if not dataset.missing(dataset.case(case)))

    def measure(self) -> None:
        """Segments every case without each channel."""
        judge = self.judge
        if not self.cases:
            raise RunError(
                f"{judge.run.folder}: no measured case has all channels: nothing can be taken away."
            )
        for fold in sorted({judge.cases[case] for case in self.cases}):
            segmenter = fold_segmenter(judge.run, judge.plan, self.choice.use, fold, judge.device)
            its = [case for case in self.cases if judge.cases[case] == fold]
            with judge.watch.stage(f"without channels, fold {fold}") as progress:
                for number, case in enumerate(its):
                    progress(number, len(its), case)
                    reference, whole = judge.pair(self.choice.use, case, self.choice.cleanup)
                    scan = judge.dataset.scan(judge.dataset.case(case))
                    self.found[case, ""] = _dice(reference, whole, case)
                    for name in judge.plan.dispensable:
                        lacking = segmenter.segment(without(scan, name)).labels
                        tidy = cleaned(lacking, self.choice.cleanup)
                        self.found[case, name] = _dice(reference, tidy, case)
                progress(len(its), len(its), "")

    def losses(self) -> Iterator[Loss]:
        """Every channel by every structure, over the cases that have a value both ways."""
        groups = [self.judge.dataset.case(case).group for case in self.cases]
        draws = Bootstrap.drawn(groups, np.random.default_rng(SEED))
        for name in self.judge.plan.dispensable:
            for structure in self.judge.plan.labels.structures:
                pairs = [
                    (self.found[case, ""][structure], self.found[case, name][structure])
                    for case in self.cases
                ]
                rows = np.array(pairs, dtype=float)  # (case, whole and without), NaN where there is none
                rows[np.isnan(rows).any(axis=1)] = np.nan
                yield _loss(name, structure, rows, draws)


def _loss(name: str, structure: str, rows: np.ndarray, draws: Bootstrap) -> Loss:
    lost = rows[:, 0] - rows[:, 1]
    count = int(np.count_nonzero(~np.isnan(lost)))
    if not count:
        return Loss(missing=(name,), structure=structure, whole=None, without=None, loss=None)
    low, high = draws.interval(lost) or (None, None)
    whole, lacking = np.nanmean(rows, axis=0).tolist()
    return Loss(
        missing=(name,),
        structure=structure,
        whole=whole,
        without=lacking,
        loss=float(np.nanmean(lost)),
        low=low,
        high=high,
        cases=count,
    )


def _dice(reference: LabelMap, prediction: LabelMap, case: str) -> Dice:
    rows = evaluate_case(reference, prediction, case, rules=DICE_ONLY)  # volumes are among them, always
    return {row.structure: row.value for row in rows if row.metric == "dice"}
