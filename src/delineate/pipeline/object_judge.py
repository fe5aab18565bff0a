"""Object judge: how well a run finds single objects on pictures that it did not learn from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from delineate.dataset import Dataset, Splits
from delineate.evaluation import InstanceMap, InstanceReport, evaluate_instances
from delineate.io import read_label_values
from delineate.io.disk import write_json, write_text
from delineate.io.write import write_objects
from delineate.networks import CleanUp
from delineate.pipeline.fold import WEIGHTS, fold_digest
from delineate.pipeline.judge import CHOICE, Choice, Judge, forget_other
from delineate.pipeline.run_folder import Run
from delineate.pipeline.watch import Watch
from delineate.planning import Plan

if TYPE_CHECKING:
    from delineate.inference import Finder

REPORT = "evaluation/objects.json"
FAINT = 0.05  # score from which candidates are kept: for the order of all of them, AP
RANKED = "ap_ranked"


@dataclass(frozen=True)
class ObjectJudge:
    """Who finds the objects of the validation pictures of a run, and measures them."""

    run: Run
    plan: Plan
    dataset: Dataset
    splits: Splits
    device: str
    watch: Watch

    def verdict(self) -> InstanceReport:
        """The report; all that was measured is in RUN/evaluation."""
        self._predict()
        report = self._measured(sure=self.sure)
        ranked = {one.metric: one for one in self._measured(sure=FAINT).summaries if _is_ranked(one.metric)}
        kept = [one for one in report.summaries if not _is_ranked(one.metric)]
        report = report.but(summaries=(*kept, *ranked.values()))
        folder = self.run.evaluation
        write_text(self.run.folder / REPORT, report.to_json())
        write_text(folder / "scores.csv", report.to_csv())
        write_text(folder / "summary.md", f"# {report.title}\n\n{report.to_markdown()}")
        choice = Choice(
            use=self.plan.use,
            scores={self.plan.first: report.summary("pq").pooled.value},
            baselines={},
            cleanup=CleanUp(),
            notes=self._notes(),
        )
        write_text(self.run.folder / CHOICE, choice.to_json())
        return report

    @property
    def sure(self) -> float:
        """Score from which a candidate is an object."""
        from delineate.inference.finder import SURE

        return SURE

    @cached_property
    def cases(self) -> dict[str, int]:
        """Case -> the fold that did not learn from it, of the folds that were trained."""
        return Judge(self.run, self.plan, self.dataset, self.splits, self.device, self.watch).cases

    def pair(self, case: str, *, sure: float) -> tuple[InstanceMap, InstanceMap]:
        """What is there, and what was found with a score of at least `sure`."""
        about = self.dataset.case(case)
        labels = self.dataset.labels(about)
        ids = self.dataset.objects(about)
        names = {label.value: label.name for label in labels.schema.labels}
        several = len(names) > 1
        kinds = (
            {int(n): names[int(labels.array[ids == n][0])] for n in np.unique(ids[ids > 0])}
            if several
            else {}
        )
        reference = InstanceMap(ids, labels.geometry, kinds=kinds)
        found = read_label_values(self._file(case)).array
        rows = json.loads(self._table(case).read_text(encoding="utf-8"))["objects"]
        scores = {row["id"]: float(row["score"]) for row in rows if row["score"] >= sure}
        array = np.where(np.isin(found, list(scores)), found, 0)
        named = {row["id"]: row["kind"] for row in rows if row["id"] in scores} if several else {}
        return reference, InstanceMap(array, labels.geometry, kinds=named, scores=scores)

    def _file(self, case: str) -> Path:
        return self._folder(self.cases[case]) / f"{case}.nii.gz"

    def _table(self, case: str) -> Path:
        return self._folder(self.cases[case]) / f"{case}_objects.json"

    def _folder(self, fold: int) -> Path:
        return self.run.fold(self.plan.first, fold) / "predictions"

    def _predict(self) -> None:
        """Finds the objects of the validation pictures that were not looked at yet, or by other weights."""
        from delineate.inference.finder import object_table

        for fold in sorted(set(self.cases.values())):
            cases = [case for case, its_fold in self.cases.items() if its_fold == fold]
            forget_other(self._folder(fold), fold_digest(self.run, self.plan, self.plan.use, fold))
            missing = [case for case in cases if not self._table(case).is_file()]
            if not missing:
                continue
            finder = self._finder(fold)
            with self.watch.stage(f"find objects, fold {fold}") as progress:
                for number, case in enumerate(missing):
                    progress(number, len(missing), case)
                    found = finder.find(self.dataset.scan(self.dataset.case(case)))
                    write_objects(found.array, found.geometry, self._file(case))
                    rows = [
                        one.model_dump(mode="json")
                        for one in object_table(found, self.plan.labels.labels[0].name)
                    ]
                    write_json(self._table(case), {"objects": rows})
                progress(len(missing), len(missing), "")

    def _finder(self, fold: int) -> Finder:
        from delineate.inference import Finder

        weights = self.run.fold(self.plan.first, fold) / WEIGHTS
        return Finder.of(self.plan, [weights], device=self.device, sure=FAINT)

    def _measured(self, *, sure: float) -> InstanceReport:
        with self.watch.stage(f"evaluate objects from a score of {sure:g}") as progress:
            return evaluate_instances(
                tuple(self.cases),
                lambda case: self.pair(case, sure=sure),
                title=f"{self.plan.dataset}: {self.plan.configuration().network.kind}",
                groups={case: self.dataset.case(case).group for case in self.cases},
                workers=os.cpu_count() or 1,
                progress=progress,
            )

    def _notes(self) -> tuple[str, ...]:
        notes = [f"An object counts from a score of {self.sure:g}; AP of scores looks at all from {FAINT:g}."]
        left_out = len(self.dataset.cases) - len(self.cases)
        if left_out:
            notes.append(
                f"{len(self.cases)} of {len(self.dataset.cases)} cases were measured: "
                "the others are in the validation part of folds that were not trained."
            )
        return tuple(notes)


def _is_ranked(metric: str) -> bool:
    return metric.startswith(RANKED)
