"""Faults planted into a good nnU-Net dataset, each alone.

FAULTS is what both this package and nnU-Net 2.8.1 look for; CLEAN is what both let pass; STRICTER is what
only this package refuses, and CONVERTED what only it can use.
"""

import json
import shutil

import numpy as np


def truncated(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def changed(root, **entries):
    path = root / "dataset.json"
    content = json.loads(path.read_text()) | entries
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def no_label(root, small):
    (root / "labelsTr" / "a.nii.gz").unlink()


def no_channel(root, small):
    (root / "imagesTr" / "b_0001.nii.gz").unlink()


def extra_channel(root, small):
    small.put(root / "imagesTr" / "b_0002.nii.gz", small.voxels(7))


def labels_of_another_shape(root, small):
    small.put_labels(root / "labelsTr" / "a.nii.gz", small.blocks((1, 2), (8, 7, 5)))


def labels_of_another_spacing(root, small):
    small.put_labels(root / "labelsTr" / "a.nii.gz", small.blocks(), small.grid(spacing=(1, 1, 3)))


def channel_of_another_shape(root, small):
    small.put(root / "imagesTr" / "c_0001.nii.gz", small.voxels(8, (8, 6, 6)))


def channel_of_another_spacing(root, small):
    small.put(root / "imagesTr" / "c_0001.nii.gz", small.voxels(8), small.grid(spacing=(1, 2, 2)))


def no_label_folder(root, small):
    shutil.rmtree(root / "labelsTr")


def unknown_value(root, small):
    small.put_labels(root / "labelsTr" / "b.nii.gz", small.blocks((1, 2, 5)))


def mask_of_255(root, small):
    small.put_labels(root / "labelsTr" / "b.nii.gz", small.blocks((255,)))


def halves(root, small):
    small.put(root / "labelsTr" / "b.nii.gz", small.blocks() * np.float32(0.5))


def nan(root, small):
    scan = small.voxels(9).astype(np.float32)
    scan[2, 2, 2] = np.nan
    small.put(root / "imagesTr" / "a_0000.nii.gz", scan)


def wrong_count(root, small):
    changed(root, numTraining=4)


def no_labels_in_json(root, small):
    changed(root, labels=None)


def no_channels_in_json(root, small):
    changed(root, channel_names=None)


def torn_image(root, small):
    truncated(root / "imagesTr" / "a_0000.nii.gz")


def torn_labels(root, small):
    truncated(root / "labelsTr" / "a.nii.gz")


def empty_labels(root, small):
    small.put_labels(root / "labelsTr" / "a.nii.gz", np.zeros(small.SHAPE, np.uint8))


def whole_reals(root, small):
    small.put(root / "labelsTr" / "a.nii.gz", small.blocks().astype(np.float32))


def labels_elsewhere(root, small):
    small.put_labels(root / "labelsTr" / "a.nii.gz", small.blocks(), small.grid(origin=(30, 0, 0)))


def stray_labels(root, small):
    small.put_labels(root / "labelsTr" / "z.nii.gz", small.blocks())


def infinity(root, small):
    scan = small.voxels(9).astype(np.float32)
    scan[2, 2, 2] = np.inf
    small.put(root / "imagesTr" / "a_0000.nii.gz", scan)


def one_scan_twice(root, small):
    for n in range(2):
        small.put(root / "imagesTr" / f"b_{n:04d}.nii.gz", small.voxels(n))


def values_with_gaps(root, small):
    changed(root, labels={"background": 0, "liver": 1, "tumour": 3})
    for name in "abc":
        small.put_labels(root / "labelsTr" / f"{name}.nii.gz", small.blocks((1, 3)))


FAULTS = (
    no_label,
    no_channel,
    extra_channel,
    labels_of_another_shape,
    labels_of_another_spacing,
    channel_of_another_shape,
    channel_of_another_spacing,
    no_label_folder,
    unknown_value,
    mask_of_255,
    halves,
    wrong_count,
    no_labels_in_json,
    no_channels_in_json,
    torn_labels,
)
CLEAN = (empty_labels, whole_reals)
# ITK, which nnU-Net reads with, makes zeros of NaN and of what is torn off a .nii.gz, and says nothing.
STRICTER = (labels_elsewhere, stray_labels, one_scan_twice, infinity, nan, torn_image)
CONVERTED = (values_with_gaps,)
EVERY = {fault.__name__: fault for fault in (*FAULTS, *CLEAN, *STRICTER, *CONVERTED)}
