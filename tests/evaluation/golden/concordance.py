"""Writes concordance.json: ICC(2,1) by pingouin, Bland and Altman's limits by pingouin and statsmodels.

python -m venv oracle && oracle/bin/pip install pingouin==0.7.0 statsmodels==0.15.0
oracle/bin/python concordance.py
"""

import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pingouin as pg
from statsmodels.graphics.agreement import mean_diff_plot

SHROUT_AND_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def table_of(seed: int) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    cases, raters = int(rng.integers(3, 15)), int(rng.integers(2, 6))
    truth = rng.normal(10, rng.uniform(0.2, 5), (cases, 1))
    return np.round(truth + rng.normal(0, 1, (1, raters)) + rng.normal(0, 1, (cases, raters)), 3).tolist()


def icc(table: list[list[float]]) -> dict[str, object]:
    long = pd.DataFrame(
        [(n, m, value) for n, row in enumerate(table) for m, value in enumerate(row)],
        columns=["case", "rater", "value"],
    )
    pg.options["round.column.CI95"] = None
    found = pg.intraclass_corr(long, targets="case", raters="rater", ratings="value").set_index("Type")
    row = found.loc["ICC(A,1)"]
    return {"table": table, "value": float(row["ICC"]), "interval": [float(end) for end in row["CI95"]]}


def limits(seed: int) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    reference = np.round(rng.uniform(1, 100, int(rng.integers(3, 40))), 3)
    prediction = np.round(reference + rng.normal(1, 4, len(reference)), 3)
    _, axes = plt.subplots()
    mean_diff_plot(prediction, reference, ax=axes)  # first less second; its sd divides by n
    by_statsmodels = sorted(float(line.get_ydata()[0]) for line in axes.lines)
    _, axes = plt.subplots()
    pg.plot_blandaltman(prediction, reference, ax=axes, agreement=1.959963984540054, annotate=False)
    by_pingouin = sorted({float(line.get_ydata()[0]) for line in axes.lines} - {0.0})
    spans = sorted((float(box.get_y()), float(box.get_y() + box.get_height())) for box in axes.patches)
    plt.close("all")
    return {
        "reference": reference.tolist(),
        "prediction": prediction.tolist(),
        "statsmodels": by_statsmodels,
        "pingouin": by_pingouin,
        "bias_interval": spans[1],
    }


if __name__ == "__main__":
    tables = [SHROUT_AND_FLEISS, *(table_of(seed) for seed in range(20))]
    found = {"icc": [icc(table) for table in tables], "limits": [limits(seed) for seed in range(5)]}
    Path(__file__).with_suffix(".json").write_text(json.dumps(found) + "\n")
