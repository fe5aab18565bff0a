"""Tiny datasets of every layout, written to a folder: a few cases of 8 x 7 x 6 voxels."""

import json
from pathlib import Path

import numpy as np

from delineate.io import write_labels, write_volume
from delineate.space import Geometry, Label, LabelMap, LabelSchema, Volume

SHAPE = (8, 7, 6)
ANY = LabelSchema(labels=tuple(Label(value=v, name=f"value {v}") for v in range(1, 256)))  # to write anything


def grid(shape=SHAPE, spacing=(1.0, 1.0, 2.0), origin=(0.0, 0.0, 0.0)):
    """An upright grid."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    return Geometry(shape, affine)


def voxels(seed, shape=SHAPE):
    """Integers of a scan that is unlike that of every other seed."""
    return np.random.default_rng(seed).integers(1, 1000, shape).astype(np.int16)


def blocks(values=(1, 2), shape=SHAPE):
    """Labels with a block of each value, one after the other along i."""
    labels = np.zeros(shape, np.uint8)
    for n, value in enumerate(values):
        labels[1 + n, 1:4, : shape[2]] = value
    return labels


def put(path, array, where=None):
    """Writes an image file of one channel (i, j, k), or of several (channel, i, j, k)."""
    channels = array if array.ndim == 4 else array[None]
    where = grid(channels.shape[1:]) if where is None else where
    names = tuple(f"channel {n}" for n in range(len(channels)))
    write_volume(Volume(channels, where, names), Path(path))


def put_labels(path, array, where=None):
    """Writes a label file with any values from 0 to 255."""
    where = grid(array.shape) if where is None else where
    write_labels(LabelMap(array, where, ANY), Path(path))


def put_json(path, content):
    """Writes JSON."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content), encoding="utf-8")


def nnunet(
    root, names=("a", "b", "c"), *, channels=("T1", "FLAIR"), labels=None, values=(1, 2), **json_changes
):
    """nnU-Net raw; `values` are what the label files hold."""
    for seed, name in enumerate(names):
        for n in range(len(channels)):
            put(root / "imagesTr" / f"{name}_{n:04d}.nii.gz", voxels(100 * seed + n))
        put_labels(root / "labelsTr" / f"{name}.nii.gz", blocks(values))
    content = {
        "channel_names": {str(n): channel for n, channel in enumerate(channels)},
        "labels": {"background": 0, "liver": 1, "tumour": 2} if labels is None else labels,
        "numTraining": len(names),
        "file_ending": ".nii.gz",
    }
    put_json(root / "dataset.json", {k: v for k, v in (content | json_changes).items() if v is not None})
    return root


def decathlon(root, names=("a", "b", "c"), *, modality=("MRI",), **json_changes):
    """Medical Segmentation Decathlon, several channels in one 4D file."""
    for seed, name in enumerate(names):
        images = np.stack([voxels(100 * seed + n) for n in range(len(modality))])
        put(root / "imagesTr" / f"{name}.nii.gz", images)
        put_labels(root / "labelsTr" / f"{name}.nii.gz", blocks())
    content = {
        "name": "Task",
        "modality": {str(n): channel for n, channel in enumerate(modality)},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "numTraining": len(names),
        "training": [
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names
        ],
        "test": [],
    }
    put_json(root / "dataset.json", content | json_changes)
    return root


OLD, NEW = ("_t1", "_t1ce", "_t2", "_flair", "_seg"), ("-t1n", "-t1c", "-t2w", "-t2f", "-seg")


def brats(root, names=("BraTS20_001", "BraTS20_002"), *, endings=OLD, enhancing=4):
    """A folder per case with four sequences and labels."""
    for seed, name in enumerate(names):
        for n, ending in enumerate(endings[:-1]):
            put(root / name / f"{name}{ending}.nii.gz", voxels(100 * seed + n))
        put_labels(root / name / f"{name}{endings[-1]}.nii.gz", blocks((1, 2, enhancing)))
    return root


def pictures(
    root, names=("p1", "p2", "p3"), *, values=(128, 255), table=None, images="images", labels="labels"
):
    """RGB pictures and grey label pictures."""
    for seed, name in enumerate(names):
        rgb = np.random.default_rng(seed).integers(0, 255, (3, 20, 16, 1)).astype(np.uint8)
        put(root / images / f"{name}.png", rgb, Geometry.of_image((20, 16)))
        put_labels(root / labels / f"{name}.png", blocks(values, (20, 16, 1)), Geometry.of_image((20, 16)))
    if table is not None:
        put_json(root / "labels.json", table)
    return root


def manifest(root, names=("m1", "m2", "m3"), *, channels=("T1", "FLAIR"), rows=None):
    """A CSV that names the files of each case, with patients and sites."""
    lines = ["case,patient,site,age," + ",".join(channels) + ",label"]
    for seed, name in enumerate(names):
        for n, channel in enumerate(channels):
            put(root / "files" / f"{name}-{channel}.nii.gz", voxels(100 * seed + n))
        put_labels(root / "files" / f"{name}-truth.nii.gz", blocks())
        files = ",".join(f"files/{name}-{channel}.nii.gz" for channel in channels)
        lines.append(
            f"{name},patient{seed // 2},site{seed % 2},{50 + seed},{files},files/{name}-truth.nii.gz"
        )
    (root / "dataset.csv").write_text("\n".join(rows or lines) + "\n")
    put_json(root / "labels.json", {"background": 0, "liver": 1, "tumour": 2})
    return root
