"""Object page: RUN/report.html of a run that finds single objects."""

from __future__ import annotations

from delineate.dataset import CheckReport
from delineate.evaluation import InstanceReport
from delineate.evaluation.objects.instance_map import InstanceMap
from delineate.evaluation.objects.pictures import object_pictures
from delineate.evaluation.objects.showing import instance_section
from delineate.io.disk import write_text
from delineate.page import Figure, render_page
from delineate.pipeline.judge import Choice
from delineate.pipeline.object_judge import REPORT, ObjectJudge
from delineate.pipeline.page_parts import data_section, learning_section, plan_section, warned
from delineate.pipeline.run_folder import Run
from delineate.pipeline.watch import Unwatched
from delineate.progress import Progress
from delineate.space import Volume

SHOWN = ("pq", "aji", "f1@0.5", "ap_ranked@0.5")


def write_object_page(run: Run, choice: Choice, progress: Progress) -> None:
    """Writes the page."""
    report = InstanceReport.load(run.folder / REPORT)
    plan, dataset, splits = run.plan(), run.dataset(), run.splits()
    judge = ObjectJudge(run, plan, dataset, splits, "cpu", Unwatched())

    def look(case: str) -> tuple[Volume, InstanceMap, InstanceMap]:
        return dataset.scan(dataset.case(case)), *judge.pair(case, sure=judge.sure)

    shown = [report.summary(name) for name in SHOWN if name in report.metrics]
    html = render_page(
        plan.dataset,
        f"{plan.configuration().network.kind}, measured on {len(report.cases)} cases that it did not learn "
        "from.",
        (
            instance_section(report),
            object_pictures(report, look, progress),
            learning_section(run, choice, plan),
            plan_section(plan),
            data_section(dataset, splits, len(report.cases)),
        ),
        figures=[Figure(s.title, s.pooled.words, "all objects in one pool") for s in shown],
        warnings=(*choice.notes, *warned(CheckReport.load(run.folder / "check.json"))),
        footer="One row per case and measure: evaluation/scores.csv beside this page.",
    )
    write_text(run.report, html)
