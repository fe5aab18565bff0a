"""Nuclei: Mask R-CNN beside a U-Net with connected pieces, both planned by themselves, in the same minutes.

    python -m benchmarks nuclei DATA WORK --minutes 20 [--test 75] [--seed 2018] [--device cpu]

DATA is the Data Science Bowl 2018 (images/ and instances/: 16-bit maps in which every value is one nucleus)
or any other folder like it. So many pictures are drawn by the seed and held out: nothing sees them, not even
the planner. Eight more are only watched. Both networks learn from the others for the same minutes on the same
machine. The U-Net's objects are the connected pieces of what it calls nucleus (8 neighbours); beside them
stand the pieces of the *true* foreground: no network that only tells foreground from background can do better
in telling touching nuclei apart.

PQ, AJI and the AP of the Data Science Bowl (TP / (TP + FP + FN), mean of IoU > .5 to .95) are means over
pictures; AP of scores is that of all objects in one pool, of Mask R-CNN alone. Intervals are by picture; the
difference is taken picture by picture. What is finished is kept: the same command goes on. Results:
WORK/nuclei.json, WORK/nuclei.md and WORK/pictures/.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate import pipeline
from delineate.dataset import Dataset
from delineate.evaluation import InstanceMap, InstanceReport, evaluate_instances
from delineate.evaluation.figures import best_view, png, slice_figure
from delineate.evaluation.objects.pictures import coloured
from delineate.evaluation.objects.pools import Bounded, Pool
from delineate.evaluation.statistics import METHOD, Bootstrap
from delineate.inference import Finder
from delineate.io import read_label_values, write_objects
from delineate.io.disk import write_bytes, write_json, write_text
from delineate.pipeline import PlanWishes, Run, SplitWishes, TrainingWishes
from delineate.pipeline.fold import WEIGHTS, fold_segmenter
from delineate.pipeline.object_judge import FAINT
from delineate.pipeline.watch import Watch
from delineate.space import Volume

WATCHED = 8
LABELS = {"background": 0, "nucleus": "instances"}
ARMS = ("mask_rcnn", "unet", "true foreground")
MEASURES = ("pq", "dq", "sq", "aji", "ap", "ap@0.5", "f1@0.5")
RANKED = ("ap_ranked", "ap_ranked@0.5")
SURE = 0.5
SHOWN = 12  # pictures


@dataclass(frozen=True)
class Study:
    """What is compared, where, and for how long: minutes or steps of each training."""

    data: Path
    folder: Path
    minutes: float | None = 20.0
    steps: int | None = None
    test: int = 75
    watched: int = WATCHED
    seed: int = 2018
    device: str = "cpu"
    by_hand: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Bench:
    """The work: a dataset, and which pictures are held out."""

    study: Study
    dataset: Dataset
    test: tuple[str, ...]
    watched: tuple[str, ...]
    learnt: tuple[str, ...]

    @classmethod
    def of(cls, study: Study) -> Bench:
        """The work of a study; the same seed holds out the same pictures."""
        manifest = study.folder / "all.json"
        write_json(manifest, {"folder": str(study.data.resolve()), "labels": LABELS})
        dataset = Dataset.open(manifest)
        drawn = np.random.default_rng(study.seed).permutation(sorted(dataset.ids)).tolist()
        held = study.test + study.watched
        if len(drawn) < held + 2:
            raise SystemExit(
                f"{len(drawn)} pictures are too few to hold out {held} and learn from the others"
            )
        return cls(
            study, dataset, tuple(drawn[: study.test]), tuple(drawn[study.test : held]), tuple(drawn[held:])
        )

    def run(self, arm: str, watch: Watch) -> Run:
        """The trained run of a network; made if need be."""
        study, folder = self.study, self.study.folder / "runs" / arm
        known = self.dataset.subset((*self.learnt, *self.watched))
        manifest, splits = study.folder / "learnt.json", study.folder / "splits.json"
        cases = [{"case": c.id, "image": str(c.images[0]), "label": str(c.labels)} for c in known.cases]
        if not manifest.is_file():
            write_json(manifest, {"labels": LABELS, "cases": cases})
            write_json(splits, [{"train": sorted(self.learnt), "val": sorted(self.watched)}])
        wishes = PlanWishes(
            minutes=study.minutes if study.steps is None else None,
            steps=study.steps,
            folds=(0,),
            device=study.device,
            network="mask_rcnn" if arm == "mask_rcnn" else None,
            splits=SplitWishes(file=splits),
            by_hand=dict(study.by_hand or {}),
        )
        pipeline.plan(manifest, folder, wishes, watch)
        pipeline.train(folder, TrainingWishes(device=study.device), watch)
        return Run(folder)

    def pair(self, arm: str, case: str) -> tuple[InstanceMap, InstanceMap]:
        """What is there, and what was found."""
        about = self.dataset.case(case)
        reference = InstanceMap(self.dataset.objects(about), self.dataset.labels(about).geometry)
        if arm == "true foreground":
            return reference, InstanceMap.of_labels(self.dataset.labels(about))
        found = read_label_values(self.file(arm, case)).array
        return reference, InstanceMap(found, reference.geometry)

    def file(self, arm: str, case: str) -> Path:
        """Where what was found is kept."""
        return self.study.folder / "found" / arm / f"{case}.nii.gz"

    def find(self, arm: str, watch: Watch) -> InstanceReport | None:
        """Writes the objects of all held-out pictures; of networks with scores also what those say."""
        if arm == "true foreground":
            return None
        run = self.run(arm, watch)
        plan = run.plan()
        ranked: dict[str, InstanceMap] = {}
        if arm == "mask_rcnn":
            finder = Finder.of(
                plan, [run.fold(plan.first, 0) / WEIGHTS], device=self.study.device, sure=FAINT
            )

            def found(scan: Volume) -> InstanceMap:
                return finder.find(scan)
        else:
            segmenter = fold_segmenter(run, plan, plan.use, 0, self.study.device)

            def found(scan: Volume) -> InstanceMap:
                return InstanceMap.of_labels(segmenter.segment(scan).labels)

        with watch.stage(f"find {arm}") as progress:
            for number, case in enumerate(self.test):
                progress(number, len(self.test), case)
                objects = found(self.dataset.scan(self.dataset.case(case)))
                ranked[case] = objects
                sure = [n for n, score in (objects.scores or {}).items() if score >= SURE]
                array = objects.array
                if objects.scores is not None:
                    array = np.where(np.isin(array, sure), array, 0)
                write_objects(array, objects.geometry, self.file(arm, case))
            progress(len(self.test), len(self.test), "")
        if arm != "mask_rcnn":
            return None
        return evaluate_instances(self.test, lambda case: (self.pair(arm, case)[0], self._on(case, ranked)))

    def _on(self, case: str, found: Mapping[str, InstanceMap]) -> InstanceMap:
        objects, grid = found[case], self.dataset.labels(self.dataset.case(case)).geometry
        return InstanceMap(objects.array, grid, scores=objects.scores)

    def measured(self, arm: str) -> InstanceReport:
        """The report of an arm on the held-out pictures."""
        return evaluate_instances(self.test, lambda case: self.pair(arm, case), title=arm)


def row(arm: str, report: InstanceReport, ranked: InstanceReport | None) -> dict[str, object]:
    """The figures of an arm."""
    means = {name: report.summary(name).mean.model_dump() for name in MEASURES}
    pooled = {} if ranked is None else {name: ranked.summary(name).pooled.model_dump() for name in RANKED}
    counts = report.counts[0]
    return {"arm": arm, **means, **pooled, "merged": counts.merged, "split": counts.split,
            "objects": counts.reference, "predicted": counts.prediction}  # fmt: skip


def difference(a: InstanceReport, b: InstanceReport, metric: str) -> Bounded:
    """a less b, picture by picture; where one has no value there is none."""
    one, other = a.values(metric), b.values(metric)
    pairs = ((one[case], other[case]) for case in a.cases)
    values = np.array([np.nan if x is None or y is None else x - y for x, y in pairs], float)
    return Pool(Bootstrap.drawn(list(a.cases), np.random.default_rng(7)), METHOD).mean(values)


def words(study: Study, rows: list[dict[str, object]], less: Mapping[str, Bounded], learnt: int) -> str:
    """The table as Markdown."""
    length = f"{study.steps} steps" if study.steps is not None else f"{study.minutes:g} minutes"
    lines = [
        f"# Nuclei: {study.test} held-out pictures (seed {study.seed}), {learnt} learnt from, {length} each",
        "",
        "| | "
        + " | ".join(("PQ", "DQ", "SQ", "AJI", "AP", "AP50", "F1@0.5", "AP of scores", "AP50 of scores"))
        + " |",
        "|---" * 10 + "|",
    ]
    for one in rows:
        cells = [_cell(one.get(name)) for name in (*MEASURES, *RANKED)]
        lines.append(f"| {one['arm']} | " + " | ".join(cells) + " |")
    lines.append("")
    for key, bounded in less.items():
        arm, name = key.split(" by ")
        lines.append(f"- {name}: Mask R-CNN less {arm}, picture by picture: {bounded.words}")
    return "\n".join(lines) + "\n"


def _cell(found: object) -> str:
    return Bounded(**found).words if isinstance(found, dict) else "-"


def pictures(bench: Bench) -> None:
    """Held-out pictures: as they are, with the reference, with what each network found."""
    from PIL import Image

    for case in bench.test[:SHOWN]:
        scan = bench.dataset.scan(bench.dataset.case(case))
        drawn = []
        for arm in ARMS[:2]:
            there, found = (coloured(objects) for objects in bench.pair(arm, case))
            view = best_view(scan, there, found)
            if not drawn:
                drawn += [slice_figure(scan, view), slice_figure(scan, view, reference=there)]
            drawn.append(slice_figure(scan, view, prediction=found))
        whole = np.concatenate(drawn, axis=1)
        write_bytes(bench.study.folder / "pictures" / f"{case}.png", png(np.asarray(Image.fromarray(whole))))


def run(study: Study, watch: Watch, say: Callable[[str], None] = print) -> list[dict[str, object]]:
    """All of it: the rows of the table."""
    bench = Bench.of(study)
    reports: dict[str, InstanceReport] = {}
    rows = []
    for arm in ARMS:
        ranked = bench.find(arm, watch)
        reports[arm] = bench.measured(arm)
        rows.append(row(arm, reports[arm], ranked))
    less = {
        f"{arm} by {name}": difference(reports["mask_rcnn"], reports[arm], name)
        for arm in ARMS[1:]
        for name in ("pq", "ap@0.5")
    }
    text = words(study, rows, less, len(bench.learnt))
    told = {key: bounded.model_dump() for key, bounded in less.items()}
    facts = {"seed": study.seed, "minutes": study.minutes, "steps": study.steps}
    write_json(study.folder / "nuclei.json", facts | {"rows": rows, "less": told})
    write_text(study.folder / "nuclei.md", text)
    pictures(bench)
    say(text)
    return rows


def main(words: list[str]) -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--test", type=int, default=75)
    parser.add_argument("--seed", type=int, default=2018)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args(words)
    from delineate.cli.screen import Screen

    study = Study(given.data, given.work, given.minutes, None, given.test, WATCHED, given.seed, given.device)
    run(study, Screen())
