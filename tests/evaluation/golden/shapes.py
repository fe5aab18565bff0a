"""Writes shapes.json: clDice and boundary IoU by the code of their authors.

python -m venv oracle
oracle/bin/pip install "numpy<2" scikit-image==0.22.0 opencv-python-headless==4.11.0.86
With github.com/jocpae/clDice (07fe900) and github.com/bowenc0221/boundary-iou-api (37d2558) on the path:
PYTHONPATH=clDice:boundary-iou-api oracle/bin/python shapes.py
"""

import json
from pathlib import Path

import numpy as np
from scipy import ndimage

CURVES, BLOBS = range(8), range(20)
WIDTHS = (2, 3, 4, 5, 6, 7)


def curve(seed: int) -> np.ndarray:
    """A winding line of one voxel."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((48, 30, 30), bool)
    a = b = 12
    for k in range(3, 45):
        if k % 6 == 0:
            a, b = np.clip(np.array([a, b]) + rng.integers(-1, 2, 2), 8, 20)
        mask[k, a, b] = True
    return mask


def curves(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A line, and a prediction that misses a part of it and invents another line."""
    reference = curve(seed)
    prediction = reference.copy()
    prediction[:, 14:, :] = False
    prediction[20:26] = False
    return reference, prediction | np.roll(reference, 3, axis=2)


def tubes(width: int) -> tuple[np.ndarray, np.ndarray]:
    """A tube, and a prediction that is a voxel beside it and has a gap."""
    reference = np.zeros((24, 24, 80), bool)
    reference[6 : 6 + width, 6 : 6 + width, 5:75] = True
    prediction = np.roll(reference, 1, axis=0)
    prediction[:, :, 30:42] = False
    return reference, prediction


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two pictures that share most of their blobs; some touch the end of the picture."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.random((24, 20)), 2) for _ in range(2)]
    return fields[0] > 0.5, 0.7 * fields[0] + 0.3 * fields[1] > 0.5


def main() -> None:
    """Asks the peers."""
    from boundary_iou.utils.boundary_utils import mask_to_boundary
    from cldice_metric.cldice import clDice

    def cldice(reference: np.ndarray, prediction: np.ndarray) -> float | None:
        with np.errstate(invalid="ignore"):
            value = float(clDice(prediction, reference))
        return None if np.isnan(value) else value

    def boundary_iou(reference: np.ndarray, prediction: np.ndarray) -> float:
        ends = [mask_to_boundary(mask.astype(np.uint8)).astype(bool) for mask in (reference, prediction)]
        return float((ends[0] & ends[1]).sum() / (ends[0] | ends[1]).sum())

    found = {
        "curves": {str(seed): cldice(*curves(seed)) for seed in CURVES},
        "tubes": {str(width): cldice(*tubes(width)) for width in WIDTHS},
        "boundary_iou": {str(seed): boundary_iou(*blobs(seed)) for seed in BLOBS},
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
