"""Writes torchmetrics.json: calibration errors as torchmetrics computes them, with what they are of.

Runs in an environment with torch, numpy and torchmetrics 1.9.0:  python torchmetrics_values.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from torchmetrics import __version__
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

CASES = ((2, 10, 1.0), (3, 15, 0.5), (4, 15, 0.2), (5, 20, 0.1), (3, 20, 2.0), (8, 15, 0.3))
VOXELS = 240


def made(number: int, classes: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (class, n) in four decimals, and classes that follow them, but not quite.

    None is exactly 1: torchmetrics counts those in a bin of their own, beyond the last.
    """
    rng = np.random.default_rng(number)
    p = rng.dirichlet(np.full(classes, sharpness), VOXELS)
    true = np.array([rng.choice(classes, p=0.8 * row + 0.2 / classes) for row in p])
    p = (np.floor(p * (10_000 - classes)) + 1) / 10_000
    p[:, 0] = np.round(1 - p[:, 1:].sum(axis=1), 4)
    return p.T, true


def main() -> None:
    cases = []
    for number, (classes, bins, sharpness) in enumerate(CASES):
        p, true = made(number, classes, sharpness)
        preds, target = torch.from_numpy(p.T.copy()), torch.from_numpy(true)
        case = {"bins": bins, "probabilities": p.tolist(), "truth": true.tolist()}
        for norm in ("l1", "l2", "max"):
            value = multiclass_calibration_error(preds, target, classes, n_bins=bins, norm=norm)
            case[f"top_{norm}"] = float(value)
            value = binary_calibration_error(
                preds[:, 1].contiguous(), (target == 1).int(), n_bins=bins, norm=norm
            )
            case[f"class_1_{norm}"] = float(value)
        cases.append(case)
    file = Path(__file__).with_name("torchmetrics.json")
    file.write_text(json.dumps({"torchmetrics": __version__, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
