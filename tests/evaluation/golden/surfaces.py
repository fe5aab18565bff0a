"""Writes surfaces.json: what other tools say of the golden masks and of random blobs, and of empty masks.

python -m venv oracle
oracle/bin/pip install medpy==0.5.2 surface-distance==0.1 monai==1.6.1 SimpleITK==2.5.7 pymia==0.3.4 \
    seg-metrics==1.2.8 vtk==9.7.2 MetricsReloaded meshmetrics
oracle/bin/python surfaces.py

MetricsReloaded and MeshMetrics are no packages of every index; they are at
github.com/Project-MONAI/MetricsReloaded and github.com/gasperpodobnik/MeshMetrics. The stored numbers were
made with the functions of their source that are called here, at the versions that the file names.

A tool that cannot be imported keeps the numbers that it has in the file. The masks are stored too (bits,
compressed), so that no library's idea of a random number moves a voxel.
"""

import base64
import importlib
import importlib.metadata
import json
import warnings
import zlib
from pathlib import Path

import numpy as np
from scipy import ndimage

FILE = Path(__file__).with_suffix(".json")
BLOBS = 50  # in volumes, and as many in pictures


# --- masks


def box(start, stop, shape):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


def ball(centre, radius, n=48):
    place = np.indices((n, n, n)).astype(float) - np.array(centre)[:, None, None, None]
    return (place**2).sum(axis=0) <= radius**2


def golden():
    """Name -> reference, prediction, spacing, tolerance."""
    shape = (32, 32, 32)
    cube, shifted = box((8, 8, 8), (18, 18, 18), shape), box((8, 8, 10), (18, 18, 20), shape)
    smaller, stray = box((9, 9, 9), (17, 17, 17), shape), cube.copy()
    stray[28, 28, 28] = True
    balls = ball((23.5, 23.5, 23.5), 15), ball((23.5, 23.5, 25.5), 14)
    squares = box((4, 4), (9, 9), (16, 16)), box((5, 4), (10, 9), (16, 16))
    return {
        "A": (cube, shifted, (1.0, 1.0, 1.0), 1.0),
        "A2": (cube, shifted, (3.0, 1.0, 0.5), 1.0),
        "B": (cube, stray, (1.0, 1.0, 1.0), 1.0),
        "C": (cube, smaller, (1.0, 1.0, 1.0), 1.0),
        "C2": (cube, smaller, (5.0, 1.0, 1.0), 1.0),
        "D": (*balls, (1.0, 1.0, 1.0), 2.0),
        "E": (*squares, (1.0, 1.0), 1.0),
    }


def blobs(seed, shape):
    """Two blobs that agree in part, on a grid of any spacing; some touch the end of the grid."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.normal(size=shape), 1.5) for _ in range(2)]
    masks = fields[0] > 0.05, fields[0] + 0.5 * fields[1] > 0.06
    if seed % 2:
        masks = tuple(np.pad(mask, 1) for mask in masks)
    spacing = tuple(round(float(s), 3) for s in rng.uniform(0.5, 4, len(shape)))
    return *masks, spacing, round(float(rng.uniform(0.5, 3)), 3)


def cases():
    random = {f"volume_{n}": blobs(n, (14, 12, 11)) for n in range(BLOBS)}
    random |= {f"picture_{n}": blobs(1000 + n, (22, 19)) for n in range(BLOBS)}
    return golden() | random


def packed(mask):
    return base64.b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode()


def unpacked(text, shape):
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return np.unpackbits(bits, count=int(np.prod(shape))).astype(bool).reshape(shape)


# --- tools: of masks, spacing and tolerance, their calls


def medpy(r, p, spacing, _):
    from medpy.metric import binary as m

    return {
        "hd": lambda: m.hd(p, r, spacing),
        "hd95": lambda: m.hd95(p, r, spacing),
        "assd": lambda: m.assd(p, r, spacing),
        "asd(result, reference)": lambda: m.asd(p, r, spacing),
        "asd(reference, result)": lambda: m.asd(r, p, spacing),
    }


def monai(r, p, spacing, tolerance):
    import torch
    from monai import metrics as m

    y, y_pred = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (r, p))

    def hd(percentile, *, directed=False, back=False):
        masks = (y, y_pred) if back else (y_pred, y)
        return m.compute_hausdorff_distance(
            *masks, percentile=percentile, directed=directed, spacing=spacing, include_background=True
        )

    def asd(*, symmetric, back=False):
        masks = (y, y_pred) if back else (y_pred, y)
        return m.compute_average_surface_distance(
            *masks, symmetric=symmetric, spacing=spacing, include_background=True
        )

    def nsd(*, use_subvoxels):
        return m.compute_surface_dice(
            y_pred, y, [tolerance], spacing=spacing, use_subvoxels=use_subvoxels, include_background=True
        )

    return {
        "compute_hausdorff_distance": lambda: hd(None),
        "compute_hausdorff_distance(percentile=95)": lambda: hd(95),
        "compute_hausdorff_distance(directed=True)": lambda: hd(None, directed=True),
        "compute_hausdorff_distance(percentile=95, directed=True)": lambda: hd(95, directed=True),
        "compute_average_surface_distance(symmetric=True)": lambda: asd(symmetric=True),
        "compute_average_surface_distance": lambda: asd(symmetric=False),
        "compute_surface_dice": lambda: nsd(use_subvoxels=False),
        "compute_surface_dice(use_subvoxels=True)": lambda: nsd(use_subvoxels=True),
    }


def deepmind(r, p, spacing, tolerance):
    import surface_distance as m

    def apart():
        return m.compute_surface_distances(r, p, spacing)

    return {
        "compute_robust_hausdorff(100)": lambda: m.compute_robust_hausdorff(apart(), 100),
        "compute_robust_hausdorff(95)": lambda: m.compute_robust_hausdorff(apart(), 95),
        "compute_average_surface_distance, first": lambda: m.compute_average_surface_distance(apart())[0],
        "compute_average_surface_distance, second": lambda: m.compute_average_surface_distance(apart())[1],
        "compute_surface_overlap_at_tolerance, first": lambda: m.compute_surface_overlap_at_tolerance(
            apart(), tolerance
        )[0],
        "compute_surface_overlap_at_tolerance, second": lambda: m.compute_surface_overlap_at_tolerance(
            apart(), tolerance
        )[1],
        "compute_surface_dice_at_tolerance": lambda: m.compute_surface_dice_at_tolerance(apart(), tolerance),
    }


def brats(r, p, spacing, _):
    import surface_distance as m

    def hd95():  # as get_lesion_wise_score and get_lesion_wise_results do; their copy of it takes numbers
        if not r.any() and not p.any():
            return 0.0
        apart = m.compute_surface_distances(r, p, spacing)
        found = m.compute_robust_hausdorff(apart, 95)
        return 374.0 if np.isinf(found) else found

    return {"Legacy_HD95": hd95} if r.ndim == 3 else {}


def reloaded(r, p, spacing, tolerance):
    from MetricsReloaded.metrics.pairwise_measures import BinaryPairwiseMeasures

    m = BinaryPairwiseMeasures(
        p.astype(int), r.astype(int), connectivity_type=1, pixdim=list(spacing), dict_args={"nsd": tolerance}
    )
    return {
        "measured_hausdorff_distance": m.measured_hausdorff_distance,
        "measured_hausdorff_distance_perc": m.measured_hausdorff_distance_perc,
        "measured_average_distance": m.measured_average_distance,
        "measured_masd": m.measured_masd,
        "normalised_surface_distance": m.normalised_surface_distance,
    }


def meshmetrics(r, p, spacing, tolerance):
    from meshmetrics import DistanceMetrics

    m = DistanceMetrics()
    m.set_input(r, p, spacing=spacing)
    return {
        "hd": m.hd,
        "hd(95)": lambda: m.hd(95),
        "assd": m.assd,
        "masd": m.masd,
        "nsd": lambda: m.nsd(tolerance),
    }


def simpleitk(r, p, spacing, _):
    import SimpleITK as itk  # noqa: N813

    images = [itk.GetImageFromArray(mask.astype(np.uint8)) for mask in (r, p)]
    for image in images:
        image.SetSpacing(spacing[::-1])

    def apart():
        m = itk.HausdorffDistanceImageFilter()
        m.Execute(*images)
        return m

    return {
        "GetHausdorffDistance": lambda: apart().GetHausdorffDistance(),
        "GetAverageHausdorffDistance": lambda: apart().GetAverageHausdorffDistance(),
    }


def pymia(r, p, spacing, tolerance):
    from pymia.evaluation import metric as m
    from pymia.evaluation.metric.base import Distances

    if r.ndim == 2:  # pymia measures volumes
        return {}

    def of(metric):
        metric.distances = Distances(p, r, spacing)
        return metric.calculate()

    return {
        "HausdorffDistance(100)": lambda: of(m.HausdorffDistance(100)),
        "HausdorffDistance(95)": lambda: of(m.HausdorffDistance(95)),
        "SurfaceDiceOverlap": lambda: of(m.SurfaceDiceOverlap(tolerance)),
        "SurfaceOverlap(prediction_to_reference=False)": lambda: of(m.SurfaceOverlap(tolerance, False)),
        "SurfaceOverlap": lambda: of(m.SurfaceOverlap(tolerance)),
    }


def seg_metrics(r, p, spacing, _):
    from seg_metrics.seg_metrics import computeQualityMeasures

    def of(name, *, full):
        masks = (mask.astype(np.uint8) for mask in (p, r))
        return computeQualityMeasures(*masks, list(spacing[::-1]), [name], fullyConnected=full)[name]

    return {
        "hd": lambda: of("hd", full=True),
        "hd95": lambda: of("hd95", full=True),
        "msd": lambda: of("msd", full=True),
        "hd, fullyConnected=False": lambda: of("hd", full=False),
        "hd95, fullyConnected=False": lambda: of("hd95", full=False),
        "msd, fullyConnected=False": lambda: of("msd", full=False),
    }


TOOLS = {  # name -> how it is called, distribution, module
    "MedPy": (medpy, "medpy", "medpy"),
    "MONAI": (monai, "monai", "monai"),
    "DeepMind surface-distance": (deepmind, "surface-distance", "surface_distance"),
    "BraTS 2023": (brats, "surface-distance", "surface_distance"),
    "MetricsReloaded": (reloaded, "MetricsReloaded", "MetricsReloaded"),
    "MeshMetrics": (meshmetrics, "meshmetrics", "meshmetrics"),
    "SimpleITK": (simpleitk, "SimpleITK", "SimpleITK"),
    "pymia": (pymia, "pymia", "pymia"),
    "seg-metrics": (seg_metrics, "seg-metrics", "seg_metrics"),
}

EMPTY = {"both": (False, False), "reference": (False, True), "prediction": (True, False)}  # what is there


def version(distribution, module):
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return str(importlib.import_module(module).__version__)


def said(call):
    """A number; or in words what the tool does instead."""
    try:
        value = float(call())
    except Exception as error:  # noqa: BLE001 - whatever a tool raises is its answer
        return type(error).__name__
    return value if np.isfinite(value) else repr(value)


def of_empty(of):
    """Call -> what is said where both masks, the reference or the prediction is empty."""
    full, none = box((3, 3, 3), (6, 7, 8), (12, 12, 12)), np.zeros((12, 12, 12), bool)
    found = {}
    for name, there in EMPTY.items():
        masks = [full if one else none for one in there]
        try:
            calls = of(*masks, (1.0, 1.0, 1.0), 1.0)
        except Exception as error:  # noqa: BLE001 - as above
            found[name] = type(error).__name__
            continue
        for call, value in calls.items():
            found.setdefault(call, {})[name] = said(value)
    return found


def measured(of, distribution, module):
    """Call -> case -> value, and the rest that is said of a tool."""
    values = {}
    for name, (r, p, spacing, tolerance) in cases().items():
        for call, value in of(r, p, spacing, tolerance).items():
            values.setdefault(call, {})[name] = said(value)
    return {"version": version(distribution, module), "values": values, "empty": of_empty(of)}


def lines(value, depth):
    """JSON with a line for each thing down to a depth."""
    if not depth or not isinstance(value, dict):
        return json.dumps(value)
    inner = ",\n".join(f"{json.dumps(key)}: {lines(one, depth - 1)}" for key, one in value.items())
    return "{\n" + inner + "\n}"


def main():
    warnings.simplefilter("ignore")
    known = json.loads(FILE.read_text())["tools"] if FILE.exists() else {}
    tools = {}
    for name, (of, distribution, module) in TOOLS.items():
        try:
            importlib.import_module(module)
        except ImportError:
            tools[name] = known[name]
            continue
        tools[name] = measured(of, distribution, module)
    masks = {
        name: {
            "shape": r.shape,
            "reference": packed(r),
            "prediction": packed(p),
            "spacing": spacing,
            "tolerance": tolerance,
        }
        for name, (r, p, spacing, tolerance) in cases().items()
    }
    FILE.write_text(lines({"cases": masks, "tools": tools}, 4) + "\n")


if __name__ == "__main__":
    main()
