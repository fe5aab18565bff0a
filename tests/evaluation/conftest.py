"""What every test of evaluation may use."""

import numpy as np
import pytest

from delineate.evaluation import MEASURES, Row, Rules
from delineate.evaluation.scores import report_of


@pytest.fixture(scope="session")
def made_report():
    """A function that makes a report of plain numbers.

    values    structure -> metric -> a value per case; None is missing
    patients  of each case; None: each case is a patient of its own
    Volumes are 10 ml in both unless they are given.
    """

    def make(values, *, patients=None, title="Made"):
        metrics = list(dict.fromkeys(metric for columns in values.values() for metric in columns))
        count = len(next(iter(next(iter(values.values())).values())))
        cases = [f"case_{n:03d}" for n in range(count)]
        rules = Rules(metrics=tuple(metrics))
        rows = []
        for structure, columns in values.items():
            for measure in rules.measures:
                default = [10.0 if measure.name.startswith("volume_") else None] * count
                for case, value in zip(cases, columns.get(measure.name, default), strict=True):
                    rows.append(
                        Row(
                            case=case,
                            structure=structure,
                            metric=measure.name,
                            definition=rules.definition(MEASURES[measure.name]),
                            value=None if value is None else float(value),
                            unit=measure.unit,
                        )
                    )
        groups = dict(zip(cases, patients or cases, strict=True))
        return report_of(rows, title=title, rules=rules, groups=groups, rng=np.random.default_rng(0))

    return make
