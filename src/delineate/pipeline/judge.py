"""Judge: how good each configuration is on cases that it did not learn from, and which one to give away.

Candidates are the configurations that the plan uses and every pair of them averaged; the highest mean Dice
wins (Isensee 2021, doi:10.1038/s41592-020-01008-z, Methods, "Empirical configuration"). The clean-up is
learnt on the winner's predictions, so its gain is measured on the cases that chose it; the report says so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

from delineate.dataset import Dataset, Splits
from delineate.dataset.provenance import made_by_models, told
from delineate.errors import RunError
from delineate.evaluation import (
    METHODS,
    Baselines,
    Report,
    Rules,
    evaluate,
    fit_baselines,
    segment_classically,
    write_report,
)
from delineate.evaluation.baselines import Method
from delineate.inference import cleaned, learn_cleanup
from delineate.io import read_label_values, write_labels
from delineate.io.disk import write_json, write_text
from delineate.networks import CleanUp
from delineate.pipeline.fold import fold_digest, fold_segmenter
from delineate.pipeline.run_folder import Run
from delineate.pipeline.watch import Watch
from delineate.planning import Plan
from delineate.record import Record
from delineate.space import LabelMap

USUAL = Rules()
DICE_ONLY = Rules(metrics=("dice",))
FITTING_CASES = 8  # training cases from which classical methods take their thresholds
CLASSICAL_CASES = 20  # measured cases of the classical methods: they need not be known to a hundredth
CHOICE = "evaluation/choice.json"

Candidate = tuple[str, ...]  # configurations whose probabilities are averaged


class Choice(Record):
    """Which configurations to give away, and why."""

    use: tuple[str, ...]
    scores: dict[str, float | None]  # candidate, "a+b" for a pair -> mean Dice
    baselines: dict[str, float | None]
    cleanup: CleanUp
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judge:
    """Who segments the validation cases of a run and measures them."""

    run: Run
    plan: Plan
    dataset: Dataset
    splits: Splits
    device: str
    watch: Watch
    rules: Rules = USUAL

    def __post_init__(self) -> None:
        if "dice" not in self.rules.metrics:  # it decides which configuration is given away
            object.__setattr__(self, "rules", self.rules.but(metrics=("dice", *self.rules.metrics)))

    def verdict(self) -> Report:
        """The report of the chosen candidate; all that was measured is in RUN/evaluation."""
        reports = {candidate: self.measured(candidate) for candidate in self.candidates}
        scores = {candidate: report.mean() for candidate, report in reports.items()}
        best = max(self.candidates, key=lambda c: (scores[c] or 0.0, -len(c)))
        with self.watch.stage("clean-up"):
            cleanup = learn_cleanup(_Pairs(self, best))
        choice = Choice(
            use=best,
            scores={"+".join(candidate): score for candidate, score in scores.items()},
            baselines=self._baselines(),
            cleanup=cleanup,
            notes=self._notes(cleanup),
        )
        report = self.measured(best, cleanup) if cleanup.foreground or cleanup.structures else reports[best]
        write_report(report, self.run.evaluation)
        write_text(self.run.folder / CHOICE, choice.to_json())
        return report

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every configuration, and every pair."""
        return (*((name,) for name in self.plan.use), *combinations(self.plan.use, 2))

    @cached_property
    def cases(self) -> dict[str, int]:
        """Case -> the fold that did not learn from it, of the folds that were trained."""
        folds = [fold for fold in range(len(self.splits.folds)) if self._is_trained(fold)]
        if not folds:
            raise RunError(
                f"{self.run.folder}: no fold is trained yet. Train with:  delineate train {self.run.folder}"
            )
        return {case: fold for fold in folds for case in self.splits.folds[fold].validation}

    def prediction_file(self, candidate: Candidate, case: str) -> Path:
        """Where the labels predicted for a validation case are kept."""
        folder = self.run.fold("+".join(candidate), self.cases[case]) / "predictions"
        return folder / f"{case}{'.png' if self._is_picture(case) else '.nii.gz'}"

    def pair(
        self, candidate: Candidate, case: str, cleanup: CleanUp | None = None
    ) -> tuple[LabelMap, LabelMap]:
        """Reference and prediction of a validation case."""
        reference = self.dataset.labels(self.dataset.case(case))
        found = read_label_values(self.prediction_file(candidate, case))
        # A picture file keeps no grid: its pixels are those of the reference.
        geometry = reference.geometry if self._is_picture(case) else found.geometry
        prediction = LabelMap(found.array, geometry, self.plan.labels)
        return reference, prediction if cleanup is None else cleaned(prediction, cleanup)

    def _is_trained(self, fold: int) -> bool:
        return all((self.run.fold(name, fold) / "weights.safetensors").is_file() for name in self.plan.use)

    def _is_picture(self, case: str) -> bool:
        """Whether the case came as a picture, and its labels go back as one."""
        first = self.dataset.case(case).images[0]
        return first is not None and first.suffix.lower() in {".png", ".bmp", ".jpg", ".jpeg"}

    def _baselines(self) -> dict[str, float | None]:
        """Mean Dice of the classical methods, fitted to training cases of the first trained fold.

        They know no way to do without a channel: cases that lack one are left out.
        """
        learnt = self._whole(self.splits.folds[min(self.cases.values())].train)[:FITTING_CASES]
        judged = self._judged_classically
        if not learnt or not judged:
            return {}
        with self.watch.stage("baselines") as progress:
            fitted = fit_baselines(
                learnt,
                lambda case: self.dataset.pair(self.dataset.case(case)),
                workers=os.cpu_count() or 1,
            )
            found: dict[str, float | None] = {}
            for number, method in enumerate(METHODS):
                progress(number, len(METHODS), method)
                found[method] = self._classical(method, fitted, judged)
            progress(len(METHODS), len(METHODS), "")
        return found

    @cached_property
    def _judged_classically(self) -> list[str]:
        first = min(self.cases.values())
        return self._whole(case for case, fold in self.cases.items() if fold == first)[:CLASSICAL_CASES]

    def _whole(self, cases: Iterable[str]) -> list[str]:
        """The cases that have every channel."""
        return [case for case in cases if not self.dataset.missing(self.dataset.case(case))]

    def _classical(self, method: Method, fitted: Baselines, cases: list[str]) -> float | None:
        def load(case: str) -> tuple[LabelMap, LabelMap]:
            scan, reference = self.dataset.pair(self.dataset.case(case))
            return reference, segment_classically(scan, fitted, method)

        return evaluate(cases, load, rules=DICE_ONLY, workers=os.cpu_count() or 1).mean()

    def measured(self, candidate: Candidate, cleanup: CleanUp | None = None) -> Report:
        """The report of a candidate on the validation cases, segmented where they are not yet."""
        self._predict(candidate)
        title = f"{self.plan.dataset}: {' + '.join(candidate)}"
        with self.watch.stage(f"evaluate {'+'.join(candidate)}") as progress:
            return evaluate(
                tuple(self.cases),
                lambda case: self.pair(candidate, case, cleanup),
                title=title,
                rules=self.rules,
                groups={case: self.dataset.case(case).group for case in self.cases},
                workers=os.cpu_count() or 1,
                progress=progress,
            )

    def _predict(self, candidate: Candidate) -> None:
        """Segments the validation cases that are not segmented yet, or by other weights."""
        for fold in sorted(set(self.cases.values())):
            cases = [case for case, its_fold in self.cases.items() if its_fold == fold]
            folder = self.run.fold("+".join(candidate), fold) / "predictions"
            digest = fold_digest(self.run, self.plan, candidate, fold)
            forget_other(folder, digest)
            missing = [case for case in cases if not self.prediction_file(candidate, case).is_file()]
            if not missing:
                continue
            segmenter = fold_segmenter(self.run, self.plan, candidate, fold, self.device)
            with self.watch.stage(f"segment {'+'.join(candidate)} fold {fold}") as progress:
                for number, case in enumerate(missing):
                    progress(number, len(missing), case)
                    found = segmenter.segment(self.dataset.scan(self.dataset.case(case)))
                    write_labels(found.labels, self.prediction_file(candidate, case))
                progress(len(missing), len(missing), "")

    def _notes(self, cleanup: CleanUp) -> tuple[str, ...]:
        notes = []
        left_out = len(self.dataset.cases) - len(self.cases)
        if left_out:
            notes.append(
                f"{len(self.cases)} of {len(self.dataset.cases)} cases were measured: "
                "the others are in the validation part of folds that were not trained."
            )
        said = told(self.dataset.cases)
        if said is not None:
            notes.append(f"{said}.")
        if made_by_models(self.dataset.case(case) for case in self.cases):
            notes.append("As asked, labels that a model made and nobody reviewed were counted as references.")
        if len(self._judged_classically) < len(self.cases):
            count = len(self._judged_classically)
            notes.append(f"The methods without learning were measured on {count} of these cases.")
        if cleanup.foreground or cleanup.structures:
            notes.append(
                "The clean-up was chosen on the cases that it is measured on: its gain is a little flattered."
            )
        if len(self.candidates) > 1:
            notes.append("The configuration was chosen on the cases that it is measured on.")
        return tuple(notes)


def forget_other(folder: Path, digest: str) -> None:
    """Removes predictions that other weights made."""
    note = folder / "made_from.json"
    if note.is_file() and note.read_text(encoding="utf-8").strip() == f'"{digest}"':
        return
    if folder.is_dir():
        shutil.rmtree(folder)
    write_json(note, digest)


@dataclass(frozen=True)
class _Pairs:
    """References and predictions of all measured cases, read anew each time they are gone through."""

    judge: Judge
    candidate: Candidate

    def __iter__(self) -> Iterator[tuple[LabelMap, LabelMap]]:
        return (self.judge.pair(self.candidate, case) for case in self.judge.cases)
