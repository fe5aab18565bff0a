"""Facts: what a model was made from and how good it was, and the card that says so in words."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from delineate.networks.build import blueprint, inputs_of, parameters
from delineate.planning.plan import STORED, Configuration, Plan, describe_spacing
from delineate.record import Record


class Score(Record):
    """One figure of the cross-validation: no network was measured on cases that it learnt from."""

    structure: str
    metric: str  # "Dice", "HD95"
    unit: str = ""  # "mm"; empty where there is none
    mean: float
    low: float | None = None  # 95 % interval of the mean
    high: float | None = None
    cases: Annotated[int, Field(ge=1)]


class Facts(Record):
    """What a model was made from: counts and digests, never names of cases.

    digests  SHA-256 (hex) of the records behind the model ("fingerprint", "splits", "data", ...)
    """

    created: str  # date, ISO 8601
    cases: Annotated[int, Field(ge=1)]
    patients: Annotated[int, Field(ge=1)]
    sites: Annotated[int, Field(ge=1)] | None = None
    minutes: float | None = None  # of training, all folds together
    device: str = "cpu"
    digests: dict[str, str] = Field(default_factory=dict)
    scores: tuple[Score, ...] = ()
    limits: tuple[str, ...] = ()  # what is known to fall short, one sentence each


def card(plan: Plan, facts: Facts, folds: dict[str, tuple[int, ...]]) -> str:
    """The model card as Markdown; `folds` says which folds of which configuration were trained.

    Sections after Mitchell 2019, Model cards for model reporting, doi:10.1145/3287560.3287596.
    """
    sections = (
        _title(plan, facts),
        _use(),
        _structures(plan),
        _scans(plan),
        _training(plan, facts, folds),
        _figures(facts),
        _limits(plan, facts),
    )
    return "\n\n".join(sections) + "\n"


def _title(plan: Plan, facts: Facts) -> str:
    names = ", ".join(plan.labels.structures)
    return f"# {plan.dataset}\n\nSegments {names}. Made on {facts.created} with delineate."


def _use() -> str:
    return (
        "## Intended use\n\nResearch only. This is not a medical device: nobody has cleared it for "
        "diagnosis or treatment. A person who can judge the images reviews every result before anything "
        "is concluded from it."
    )


def _structures(plan: Plan) -> str:
    rows = [[label.name, str(label.value), label.code or ""] for label in plan.labels.labels]
    text = "## What it finds\n\n" + table(["structure", "value", "code"], rows)
    if plan.labels.regions:
        regions = [[r.name, " + ".join(map(str, r.values))] for r in plan.labels.regions]
        text += "\n\nLearnt as regions that may lie in each other:\n\n" + table(["region", "values"], regions)
    return text


def _scans(plan: Plan) -> str:
    rows = [
        [str(number), channel.name, channel.normalization.rule, channel.denoise.rule]
        for number, channel in enumerate(plan.channels, 1)
    ]
    return (
        "## What it reads\n\nScans with these channels, in this order:\n\n"
        + table(["", "channel", "normalisation", "denoising"], rows)
        + f"\n\nScans are {_laid(plan)} and brought to the spacing below by the program itself."
    )


def _laid(plan: Plan) -> str:
    return "taken as they are stored" if plan.orientation == STORED else f"turned to {plan.orientation}"


def _training(plan: Plan, facts: Facts, folds: dict[str, tuple[int, ...]]) -> str:
    people = f"{facts.cases} labelled cases of {facts.patients} patients"
    sites = "" if facts.sites is None else f" from {facts.sites} site{'s' if facts.sites > 1 else ''}"
    time = "" if facts.minutes is None else f", {facts.minutes:.0f} minutes of training"
    rows = [_configuration_row(plan, name, some) for name, some in folds.items()]
    head = ["configuration", "spacing", "patch", "batch", "network", "parameters", "folds"]
    return f"## How it was trained\n\nOn {people}{sites}{time} ({facts.device}).\n\n{table(head, rows)}"


def _configuration_row(plan: Plan, name: str, folds: tuple[int, ...]) -> list[str]:
    configuration: Configuration = plan.configuration(name)
    network = blueprint(configuration.network, inputs_of(plan, name), len(plan.labels.outputs))
    return [
        name,
        describe_spacing(configuration.spacing),
        " x ".join(map(str, configuration.patch)),
        str(configuration.batch),
        configuration.network.kind,
        f"{parameters(network):,}",
        ", ".join(map(str, folds)),
    ]


def _figures(facts: Facts) -> str:
    if not facts.scores:
        return "## How good it was\n\nNot measured."
    rows = [
        [s.structure, s.metric, _number(s.mean, s.unit), _interval(s), str(s.cases)] for s in facts.scores
    ]
    return (
        "## How good it was\n\nCross-validation: each case segmented by networks that had not seen it.\n\n"
        + table(["structure", "metric", "mean", "95 % interval", "cases"], rows)
    )


def _number(value: float, unit: str) -> str:
    return f"{value:.3f} {unit}".rstrip()


def _interval(score: Score) -> str:
    if score.low is None or score.high is None:
        return ""
    return f"{score.low:.3f} to {score.high:.3f}"


def _limits(plan: Plan, facts: Facts) -> str:
    lines = [
        "Scans unlike those it learnt from (other scanner, protocol, age, disease) were not measured.",
        f"It finds nothing but {', '.join(plan.labels.structures)}, and finds them whether or not the scan "
        f"is fit to judge.",
        *facts.limits,
    ]
    if facts.sites == 1:
        lines.insert(0, "All cases come from one site.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
