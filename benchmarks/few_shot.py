"""Few labels: from scratch, from scans without labels (mae, genesis), or from another task; same minutes.

    python -m benchmarks few_shot DATA WORK --cases 5,10,20 --minutes 5 --pretrain-minutes 20 --seeds 0,1,2

DATA is Task04_Hippocampus of the Medical Segmentation Decathlon, or any other dataset. 30 cases are held out
and never seen by anything; 4 are only watched. Of the others come, by seed, 5 of 10 of 20 labelled cases to
learn from; all of them without labels are what encoders are pretrained on, and 60 others, with all
structures merged into one, what the model of the other task is trained on. Every arm has the same network,
patch, schedule, cases and minutes; what pretraining takes comes on top and is stated. `--arms
scratch,own,mae` adds one from scratch with the network that the planner lays out for so few minutes. What is
finished is kept: the same command goes on. Results: WORK/few_shot.json and WORK/few_shot.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from delineate import pipeline
from delineate.dataset import Dataset, write_nnunet
from delineate.evaluation import Comparison, Report, Terms, compare, evaluate
from delineate.evaluation.comparison.seeds import averaged
from delineate.io import write_labels
from delineate.io.disk import write_json, write_text
from delineate.networks import Start
from delineate.pipeline import PlanWishes, PretrainWishes, Run, SplitWishes, StartWishes, TrainingWishes
from delineate.pipeline.fold import fold_segmenter
from delineate.pipeline.start import with_start
from delineate.planning import Plan
from delineate.space import LabelMap, LabelSchema

SEED = 2026  # of the division of the cases
AT_RANDOM = ("scratch", "own")
ARMS = ("scratch", "mae", "genesis", "transfer")  # and "own": at random, with the network of its own plan
WHOLE = LabelSchema.of("whole")
REPORT = "few_shot_report.json"


@dataclass(frozen=True)
class Study:
    """What is compared, where, and for how long.

    minutes, steps    of each training with few labels: one of them
    pretrain_minutes  of each pretraining, and of the training on the other task
    test, watch       cases that are held out, and cases that are only watched
    source            labelled cases of the other task
    """

    data: Path
    folder: Path
    cases: tuple[int, ...]
    seeds: tuple[int, ...]
    arms: tuple[str, ...] = ARMS
    minutes: float | None = 5.0
    pretrain_minutes: float | None = 20.0
    steps: int | None = None
    test: int = 30
    watch: int = 4
    source: int = 60
    device: str = "cpu"
    thaw_after: float | None = None
    encoder_rate: float | None = None


@dataclass(frozen=True)
class Parts:
    """How the cases are divided."""

    test: tuple[str, ...]
    watch: tuple[str, ...]
    source: tuple[str, ...]
    rest: tuple[str, ...]

    @classmethod
    def of(cls, dataset: Dataset, study: Study) -> Parts:
        """The division, the same every time."""
        drawn = np.random.default_rng(SEED).permutation(sorted(dataset.ids)).tolist()
        edges = np.cumsum([study.test, study.watch, study.source]).tolist()
        parts = cls(*(tuple(part) for part in np.split(np.array(drawn), edges)))
        if len(parts.rest) < max(study.cases):
            raise SystemExit(f"{len(drawn)} cases are too few: {len(parts.rest)} are left to learn from")
        return parts

    def few(self, count: int, seed: int) -> tuple[str, ...]:
        """The labelled cases of a seed; fewer of them are the first of more."""
        return tuple(np.random.default_rng((SEED, seed)).permutation(sorted(self.rest))[:count].tolist())


@dataclass(frozen=True)
class Bench:
    """The work: a dataset, its division, and folders."""

    study: Study
    dataset: Dataset
    parts: Parts

    @classmethod
    def of(cls, study: Study) -> Bench:
        """The work of a study."""
        dataset = Dataset.open(study.data)
        return cls(study, dataset, Parts.of(dataset, study))

    def start(self, arm: str) -> Path:
        """What an arm begins with; made if need be."""
        return (
            self._source() if arm == "transfer" else self._encoder("genesis" if arm == "genesis" else "mae")
        )

    def _encoder(self, task: str) -> Path:
        study, folder = self.study, self.study.folder / "encoders" / task
        if not (folder / "manifest.json").is_file():
            wishes = PretrainWishes(
                task="genesis" if task == "genesis" else "mae",
                minutes=study.pretrain_minutes if study.steps is None else None,
                steps=study.steps,
                device=study.device,
                channels=self.dataset.channels,
            )
            pipeline.pretrain(self._pool(), folder, wishes, pipeline.Unwatched())
        return folder

    def _pool(self) -> Path:
        """All scans but those held out and watched, without labels."""
        folder = self.study.folder / "pool"
        for case in self.dataset.subset((*self.parts.source, *self.parts.rest)).cases:
            for number, file in enumerate(case.images):
                assert file is not None
                suffix = "".join(file.suffixes[-2:] if file.suffix == ".gz" else file.suffixes[-1:])
                target = folder / f"{case.id}_{number:04d}{suffix}"
                if not target.is_file():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(file.read_bytes())
        return folder

    def _source(self) -> Path:
        """A model of the other task: all structures as one, in other cases."""
        study, run = self.study, self.study.folder / "source"
        model = run / "model"
        if not (model / "manifest.json").is_file():
            raw = study.folder / "whole"
            if not raw.is_dir():
                self._merged(raw)
            wishes = PlanWishes(minutes=study.pretrain_minutes, folds=(0,), device=study.device)
            if study.steps is not None:
                wishes = PlanWishes(steps=study.steps, folds=(0,), device=study.device)
            self._planned(raw, run, wishes)
            watch = pipeline.Unwatched()
            pipeline.train(run, TrainingWishes(device=study.device), watch)
            pipeline.evaluate(run, watch, device=study.device)
            pipeline.pack(run)
        return model

    def _merged(self, folder: Path) -> None:
        """The cases of the other task as a dataset of one structure."""
        cases = self.dataset.subset(self.parts.source)
        write_nnunet(cases, folder)
        for case in cases.cases:
            labels = self.dataset.labels(case)
            whole = LabelMap((labels.array > 0).astype(np.uint8), labels.geometry, WHOLE)
            file = next((folder / "labelsTr").glob(f"{case.id}.*"))
            write_labels(whole, file)
        content = json.loads((folder / "dataset.json").read_text())
        write_json(folder / "dataset.json", content | {"labels": {"background": 0, "whole": 1}})

    def _planned(self, raw: Path, run: Path, wishes: PlanWishes, *, own: bool = False) -> Plan:
        """The plan of a run, with the network that all arms have, or its own."""
        watch = pipeline.Unwatched()
        plan = pipeline.plan(raw, run, wishes, watch)
        if wishes.start.folder is None and not own:
            plan = with_start(plan, Start.open(self._encoder("mae")))
            Run(run).save("plan.json", plan)
        return plan

    def trained(self, arm: str, count: int, seed: int) -> Report:
        """The report of one training on the held-out cases."""
        study, run = self.study, self.study.folder / "runs" / f"{arm}_{count}_seed{seed}"
        if (run / REPORT).is_file():
            return Report.load(run / REPORT)
        raw = study.folder / "few" / f"{count}_seed{seed}"
        few = self.parts.few(count, seed)
        if not (raw / "splits.json").is_file():
            write_nnunet(self.dataset.subset((*few, *self.parts.watch)), raw)
            write_json(raw / "splits.json", [{"train": sorted(few), "val": sorted(self.parts.watch)}])
        wishes = PlanWishes(
            minutes=study.minutes if study.steps is None else None,
            steps=study.steps,
            folds=(0,),
            device=study.device,
            splits=SplitWishes(file=raw / "splits.json"),
            by_hand={"training.seed": seed},
            start=StartWishes() if arm in AT_RANDOM else self._begun(arm),
        )
        plan = self._planned(raw, run, wishes, own=arm == "own")
        pipeline.train(run, TrainingWishes(device=study.device), pipeline.Unwatched())
        report = self._measured(Run(run), plan, f"{arm} {count} seed {seed}")
        write_text(run / REPORT, report.to_json())
        return report

    def _begun(self, arm: str) -> StartWishes:
        rate, thaw_after = self.study.encoder_rate, self.study.thaw_after
        if thaw_after is None:
            return StartWishes(self.start(arm), encoder_rate=rate)
        return StartWishes(self.start(arm), freeze="encoder", thaw_after=thaw_after, encoder_rate=rate)

    def _measured(self, run: Run, plan: Plan, title: str) -> Report:
        segmenter = fold_segmenter(run, plan, plan.use, 0, self.study.device)

        def load(name: str) -> tuple[LabelMap, LabelMap]:
            case = self.dataset.case(name)
            return self.dataset.labels(case), segmenter.segment(self.dataset.scan(case)).labels

        groups = {name: self.dataset.case(name).group for name in sorted(self.parts.test)}
        return evaluate(list(groups), load, title=title, groups=groups)


def results(study: Study, reports: dict[tuple[str, int, int], Report]) -> tuple[list[dict[str, object]], str]:
    """Per number of cases and arm: mean and difference from scratch, with intervals; as rows and words."""
    rows: list[dict[str, object]] = []
    for count in study.cases:
        seeds = [s for s in study.seeds if all((arm, count, s) in reports for arm in study.arms)]
        if not seeds:
            continue
        means = {arm: averaged([reports[arm, count, s] for s in seeds], arm) for arm in study.arms}
        compared = None
        if len(means) > 1:
            compared = compare(*means.values(), names=study.arms, terms=Terms(metrics=("dice",)))
        for arm, report in means.items():
            overall = next(each for each in report.overall if each.metric == "dice")
            hd95 = report.mean("hd95")
            each = [reports[arm, count, s].mean() for s in seeds]
            rows.append(
                {
                    "cases": count,
                    "arm": arm,
                    "seeds": len(seeds),
                    "dice": overall.mean,
                    "low": overall.ci_low,
                    "high": overall.ci_high,
                    "hd95_mm": hd95,
                    "by_seed": each,
                    **_difference(compared, arm),
                }
            )
    return rows, _words(study, rows)


def _difference(compared: Comparison | None, arm: str) -> dict[str, object]:
    """An arm less scratch, in Dice, patient by patient."""
    if compared is None or arm == "scratch" or "scratch" not in compared.names:
        return {}
    contrasts = compared.between("scratch", arm)
    found = next((each for each in contrasts if each.structure is None), contrasts[0])  # one structure: it
    if found.difference is None:
        return {}
    low, high = (None if v is None else -v for v in (found.high, found.low))
    return {
        "difference": -found.difference,
        "difference_low": low,
        "difference_high": high,
        "p_adjusted": found.adjusted,
        "patients": found.patients,
    }


def _words(study: Study, rows: Sequence[dict[str, object]]) -> str:
    """The table, and what was done."""
    length = f"{study.steps} steps" if study.steps is not None else f"{study.minutes:g} minutes"
    before = f"{study.steps} steps" if study.steps is not None else f"{study.pretrain_minutes:g} minutes"
    lines = [
        f"Mean Dice of {study.test} held-out cases, averaged over seeds [95 % interval over patients]; each "
        f"training {length}, each pretraining {before} on top. Differences are paired by patient; p is "
        "Holm's, over all arms.",
        "",
        "| labelled cases | begins with | Dice | HD95 (mm) | less scratch | p |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        dice = _interval(row["dice"], row["low"], row["high"])
        change = ""
        if "difference" in row:
            change = _interval(row["difference"], row["difference_low"], row["difference_high"], signed=True)
        p = row.get("p_adjusted")
        hd95 = row["hd95_mm"]
        lines.append(
            f"| {row['cases']} | {row['arm']} | {dice} | {'' if hd95 is None else f'{hd95:.2f}'} | {change} "
            f"| {'' if p is None else f'{p:.3f}'} |"
        )
    return "\n".join(lines) + "\n"


def _interval(value: object, low: object, high: object, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    if not isinstance(value, float):
        return ""
    shown = f"{value:{sign}.4f}"
    if isinstance(low, float) and isinstance(high, float):
        shown += f" [{low:{sign}.4f}, {high:{sign}.4f}]"
    return shown


def run(study: Study) -> list[dict[str, object]]:
    """Trains what is not trained yet; writes the tables after each training."""
    bench = Bench.of(study)
    reports: dict[tuple[str, int, int], Report] = {}
    rows: list[dict[str, object]] = []
    for seed in study.seeds:
        for count in study.cases:
            for arm in study.arms:
                reports[arm, count, seed] = bench.trained(arm, count, seed)
                row = {"arm": arm, "cases": count, "seed": seed, "dice": reports[arm, count, seed].mean()}
                print(json.dumps(row), flush=True)
                rows, words = results(study, reports)
                settings = asdict(study) | {"data": study.data.name, "folder": study.folder.name}
                write_json(study.folder / "few_shot.json", {"study": settings, "results": rows})
                write_text(study.folder / "few_shot.md", words)
    return rows


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks few_shot", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--cases", default="5,10,20")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--pretrain-minutes", type=float, default=20)
    parser.add_argument("--steps", type=int, help="of every training, instead of minutes: a quick try")
    parser.add_argument("--test", type=int, default=30)
    parser.add_argument("--watch", type=int, default=4)
    parser.add_argument("--source", type=int, default=60)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--thaw-after", type=float, help="freeze encoders until this share of the training")
    parser.add_argument("--encoder-rate", type=float, help="of the learning rate, for encoders that learnt")
    given = parser.parse_args(arguments)
    study = Study(
        given.data.resolve(),
        given.work.resolve(),
        tuple(int(n) for n in given.cases.split(",")),
        tuple(int(n) for n in given.seeds.split(",")),
        tuple(given.arms.split(",")),
        minutes=given.minutes,
        pretrain_minutes=given.pretrain_minutes,
        steps=given.steps,
        test=given.test,
        watch=given.watch,
        source=given.source,
        device=given.device,
        thaw_after=given.thaw_after,
        encoder_rate=given.encoder_rate,
    )
    study.folder.mkdir(parents=True, exist_ok=True)
    run(study)
    print((study.folder / "few_shot.md").read_text())
