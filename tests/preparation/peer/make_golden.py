"""Writes golden.npz: what nnU-Net 2.8.1 makes of the scans in cases.py. Run by hand in its environment:

python tests/preparation/peer/make_golden.py
"""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from cases import CT, a_mask, arrays, peer_cases
from nnunetv2.preprocessing.normalization import default_normalization_schemes as schemes
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

NUMBERS = {"percentile_00_5": CT["low"], "percentile_99_5": CT["high"], "mean": CT["mean"], "std": CT["sd"]}
SCHEMES = {
    "ct": schemes.CTNormalization,
    "zscore": schemes.ZScoreNormalization,
    "unit": schemes.RescaleTo01Normalization,
    "rgb": schemes.RGBTo01Normalization,
}


def prepared(case):
    """Image (channel, i, j, k) and labels (i, j, k), -1 outside the patient, by nnU-Net."""
    target = list(case.target) if case.slice_axis is None else list(case.target[1:])
    resampling = partial(resample_data_or_seg_to_shape, order_z=0, force_separate_z=None)
    configuration = SimpleNamespace(
        spacing=target,
        normalization_schemes=[SCHEMES[rule].__name__ for rule in case.rules],
        use_mask_for_norm=[case.masked] * len(case.rules),
        resampling_fn_data=partial(resampling, is_seg=False, order=3),
        resampling_fn_seg=partial(resampling, is_seg=True, order=1),
    )
    labels = SimpleNamespace(has_regions=False, has_ignore_label=False, foreground_labels=[1, 2])
    plans = SimpleNamespace(
        transpose_forward=[0, 1, 2],
        foreground_intensity_properties_per_channel={str(c): NUMBERS for c in range(len(case.rules))},
        get_label_manager=lambda _: labels,
    )
    image, values, _ = DefaultPreprocessor(verbose=False).run_case_npy(
        case.image,
        case.labels[None].astype(np.int16),
        {"spacing": list(case.spacing)},
        plans,
        configuration,
        {},
    )
    return image, values[0]


def normalized():
    """Every array by every scheme that accepts it."""
    for name, array in arrays():
        for rule, scheme in SCHEMES.items():
            if rule != "rgb" or (array.min() >= 0 and array.max() <= 255):
                yield f"{name}_{rule}", scheme(False, NUMBERS).run(array.astype(np.float32))
        inside = np.where(a_mask(), 0, -1)
        masked = np.where(a_mask(), array, 0).astype(np.float32)
        yield f"{name}_masked", SCHEMES["zscore"](True, NUMBERS).run(masked, inside)


golden = dict(normalized())
for one in peer_cases():
    image, values = prepared(one)
    golden |= {f"{one.name}_image": image, f"{one.name}_labels": values.astype(np.int8)}
np.savez_compressed(Path(__file__).with_name("golden.npz"), **golden)
