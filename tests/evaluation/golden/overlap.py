"""Writes overlap.json: what scikit-learn says about random masks and label maps.

python -m venv oracle && oracle/bin/pip install numpy scikit-learn==1.9.1 && oracle/bin/python overlap.py
"""

import json
from pathlib import Path

import numpy as np
from sklearn import metrics


def of_masks(seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.05, 0.95)
    reference = rng.random((9, 8, 7)) < share
    prediction = reference ^ (rng.random((9, 8, 7)) < rng.uniform(0, 0.6))
    y, p = reference.ravel(), prediction.ravel()
    return {
        "seed": seed,
        "f1": float(metrics.f1_score(y, p)),
        "jaccard": float(metrics.jaccard_score(y, p)),
        "precision": float(metrics.precision_score(y, p)),
        "recall": float(metrics.recall_score(y, p)),
        "specificity": float(metrics.recall_score(~y, ~p)),
        "accuracy": float(metrics.accuracy_score(y, p)),
    }


def of_maps(seed: int) -> dict[str, object]:
    reference, prediction = np.random.default_rng(seed).integers(0, 4, (2, 9, 8, 7))
    y, p = reference.ravel(), prediction.ravel()
    return {
        "seed": seed,
        "confusion_matrix": metrics.confusion_matrix(y, p).tolist(),
        "row_shares": metrics.confusion_matrix(y, p, normalize="true").tolist(),
    }


if __name__ == "__main__":
    found = {"masks": [of_masks(seed) for seed in range(20)], "maps": [of_maps(seed) for seed in range(5)]}
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
