"""Writes overlap.json: what scikit-learn says about random masks and label maps.

python -m venv oracle && oracle/bin/pip install numpy scikit-learn==1.9.1 && oracle/bin/python overlap.py
"""

import json
from pathlib import Path

import numpy as np

SHAPE = (9, 8, 7)


def masks_of(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two random masks that agree more or less."""
    rng = np.random.default_rng(seed)
    reference = rng.random(SHAPE) < rng.uniform(0.05, 0.95)
    return reference, reference ^ (rng.random(SHAPE) < rng.uniform(0, 0.6))


def maps_of(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two random label maps of values 0 to 3."""
    reference, prediction = np.random.default_rng(seed).integers(0, 4, (2, *SHAPE))
    return reference, prediction


def of_masks(seed: int) -> dict[str, float]:
    from sklearn import metrics

    y, p = (mask.ravel() for mask in masks_of(seed))
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
    from sklearn import metrics

    y, p = (array.ravel() for array in maps_of(seed))
    return {
        "seed": seed,
        "confusion_matrix": metrics.confusion_matrix(y, p).tolist(),
        "row_shares": metrics.confusion_matrix(y, p, normalize="true").tolist(),
    }


if __name__ == "__main__":
    found = {"masks": [of_masks(seed) for seed in range(20)], "maps": [of_maps(seed) for seed in range(5)]}
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
