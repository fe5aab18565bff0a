"""Writes paired.json: what statsmodels and pingouin find in made-up pairs.

In an environment of its own, because neither is needed otherwise:

    python -m venv peers && peers/bin/pip install statsmodels==0.15.0 pingouin==0.7.0
    peers/bin/python tests/evaluation/comparison/golden/paired.py
"""

import json
from pathlib import Path

import numpy as np
import pingouin
from statsmodels.stats.multitest import multipletests

rng = np.random.default_rng(2025)


def pairs(count, shift):
    """Dice of two models on the same cases, in hundredths, so that some are equal and some tie."""
    first = rng.beta(18, 3, count)
    return first.round(2).tolist(), (first + rng.normal(shift, 0.03, count)).clip(0, 1).round(2).tolist()


def wilcoxon(first, second):
    found = pingouin.wilcoxon(first, second, correction=False)
    column = next(name for name in found.columns if name.lower().startswith("p"))
    return {
        "first": first,
        "second": second,
        "p": float(found[column].iloc[0]),
        "effect": float(found["RBC"].iloc[0]),
    }


def holm(values):
    return {"p": values, "adjusted": multipletests(values, method="holm")[1].tolist()}


found = {
    "holm": [
        holm([0.01, 0.04, 0.03, 0.005]),
        holm([0.2]),
        holm([0.5, 0.5, 0.5]),
        holm([0.0, 1.0, 0.02, 0.02, 0.9]),
        holm(rng.beta(0.4, 2, 40).round(6).tolist()),
    ],
    "wilcoxon": [wilcoxon(*pairs(count, shift)) for count in (8, 20, 44, 90) for shift in (0, 0.02)],
}
Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
