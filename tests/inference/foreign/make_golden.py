"""Makes the models and predictions in golden/ with nnU-Net itself (2.8.1; environment: benchmarks/peer.sh).

    benchmarks/.peer/bin/python tests/inference/foreign/make_golden.py

Each is a tiny network with random weights, as nnU-Net builds, stores and runs it: a plain one in 3D over
thick slices with transposed axes, a residual one with nested regions and two channels, a 2D one, and a
cascade.
One window covers a scan, and is not weighted: nnU-Net adds weighted windows up in half precision, where the
corners of a single one vanish.
"""

import json
import os
import shutil
from pathlib import Path

HERE = Path(__file__).parent / "golden"
for name in ("raw", "preprocessed", "results"):
    os.environ[f"nnUNet_{name}"] = str(HERE)
os.environ["nnUNet_compile"] = "f"  # noqa: SIM112 - its name

import numpy as np  # noqa: E402
import SimpleITK as sitk  # noqa: E402, N813
import torch  # noqa: E402
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: E402
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans  # noqa: E402
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels  # noqa: E402
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager  # noqa: E402

RESAMPLING = {
    f"resampling_fn_{what}{end}": value
    for what, order, is_seg in (("data", 3, False), ("seg", 1, True), ("probabilities", 1, False))
    for end, value in (
        ("", "resample_data_or_seg_to_shape"),
        ("_kwargs", {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}),
    )
}


def configuration(dims, patch, spacing, strides, kernels, schemes, *, residual=False, **more):
    stages = len(strides)
    blocks = {"n_blocks_per_stage": [1, 2, 2][:stages]} if residual else {"n_conv_per_stage": [2] * stages}
    return {
        "data_identifier": "x",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": [float(edge) for edge in patch],
        "spacing": spacing,
        "normalization_schemes": schemes,
        "use_mask_for_norm": [False] * len(schemes),
        **RESAMPLING,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet."
            + ("ResidualEncoderUNet" if residual else "PlainConvUNet"),
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": [4, 6, 8][:stages],
                "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
                "kernel_sizes": kernels,
                "strides": strides,
                **blocks,
                "n_conv_per_stage_decoder": [2, 2][: stages - 1],
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
        **more,
    }


def plans(configurations, transpose, channels):
    facts = {"max": 900.0, "mean": 90.0, "median": 80.0, "min": 1.0, "std": 40.0}
    facts |= {"percentile_00_5": 5.0, "percentile_99_5": 400.0}
    return {
        "dataset_name": "Dataset900_Golden",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [3.0, 1.0, 1.0],
        "original_median_shape_after_transp": [20, 30, 30],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": transpose,
        "transpose_backward": [transpose.index(axis) for axis in range(3)],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(c): facts for c in range(channels)},
        "configurations": configurations,
    }


PLAIN = {"background": 0, "organ": 1, "lesion": 2}
NESTED = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}
THICK = configuration(
    3,
    [8, 36, 24],
    [3.0, 1.1, 0.9],
    [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    ["CTNormalization"],
)
RESIDUAL = configuration(
    3,
    [32, 28, 16],
    [1.5, 1.0, 2.0],
    [[1, 1, 1], [2, 2, 1], [2, 2, 2]],
    [[3, 3, 3]] * 3,
    ["ZScoreNormalization", "RescaleTo01Normalization"],
    residual=True,
)
FLAT = configuration(
    2, [44, 20], [1.0, 1.3], [[1, 1], [2, 2], [2, 1]], [[3, 3], [3, 5], [3, 3]], ["ZScoreNormalization"]
)
COARSE = configuration(
    3,
    [12, 10, 12],
    [4.0, 3.0, 2.5],
    [[1, 1, 1], [2, 2, 2]],
    [[3, 3, 3]] * 2,
    ["NoNormalization"],
    next_stage="3d_cascade_fullres",
)
FINE = configuration(
    3,
    [22, 18, 26],
    [2.0, 1.5, 1.0],
    [[1, 1, 1], [2, 2, 2]],
    [[3, 3, 3]] * 2,
    ["NoNormalization"],
    previous_stage="3d_lowres",
)

GOLDEN = {  # name -> configurations (the last one predicts), axes, channels, labels
    "thick": ({"3d_fullres": THICK}, [2, 0, 1], 1, PLAIN),
    "residual": ({"3d_fullres": RESIDUAL}, [0, 1, 2], 2, NESTED),
    "flat": ({"2d": FLAT}, [1, 0, 2], 1, PLAIN),
    "cascade": ({"3d_lowres": COARSE, "3d_cascade_fullres": FINE}, [0, 1, 2], 1, PLAIN),
}


def main():
    for seed, (name, (configurations, transpose, channels, labels)) in enumerate(GOLDEN.items(), start=30):
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        scans = write_scans(folder, rng, channels)
        dataset = {
            "channel_names": {str(c): f"channel {c}" for c in range(channels)},
            "labels": labels,
            "numTraining": 7,
            "file_ending": ".nii.gz",
        }
        if labels is NESTED:
            dataset["regions_class_order"] = [1, 2, 3]
        content = plans(configurations, transpose, channels)
        for each in configurations:
            write_model(folder / f"nnUNetTrainer__nnUNetPlans__{each}", content, dataset, each)
        before = None
        for each in configurations:
            before = predict(folder, each, scans, before)
        sitk.WriteImage(before, str(folder / "expected.nii.gz"), useCompression=True)


def write_scans(folder, rng, channels):
    """An oblique scan whose axes lie as those of no model; smooth noise with zeros around it."""
    folder.mkdir(parents=True)
    files = []
    for c in range(channels):
        values = np.zeros((18, 26, 22), np.float32)
        values[2:17, 3:24, 1:20] = rng.gamma(2.0, 60.0, size=(15, 21, 19))
        image = sitk.GetImageFromArray(
            sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(values), 1.2))
            * (values > 0)
        )
        image.SetSpacing((1.2, 1.0, 2.4))
        image.SetDirection((0.0, 0.8, -0.6, -1.0, 0.0, 0.0, 0.0, 0.6, 0.8))
        files.append(str(folder / f"scan_{c:04d}.nii.gz"))
        sitk.WriteImage(image, files[-1], useCompression=True)
    return files


def write_model(folder, content, dataset, configuration_name):
    manager = PlansManager(content)
    chosen = manager.get_configuration(configuration_name)
    labels = manager.get_label_manager(dataset)
    inputs = determine_num_input_channels(manager, chosen, dataset)
    network = get_network_from_plans(
        chosen.network_arch_class_name,
        chosen.network_arch_init_kwargs,
        chosen.network_arch_init_kwargs_req_import,
        inputs,
        labels.num_segmentation_heads,
        deep_supervision=True,
    )
    with torch.no_grad():
        for parameter_name, parameter in network.named_parameters():  # as various as after a training
            drawn = torch.randn_like(parameter)
            if "norm.weight" in parameter_name:
                parameter.copy_(1 + 0.2 * drawn)
            elif "seg_layers" in parameter_name and parameter.ndim == 1:
                parameter.zero_()
            else:
                parameter.copy_(0.3 * drawn)
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(content))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    torch.save(
        {
            "network_weights": network.state_dict(),
            "optimizer_state": {},
            "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float64(0.5)]},
            "_best_ema": np.float32(0.5),
            "current_epoch": 1,
            "init_args": {
                "plans": content,
                "configuration": configuration_name,
                "fold": 0,
                "dataset_json": dataset,
                "device": torch.device("cpu"),
            },
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1) if len(chosen.patch_size) == 2 else (0, 2),
        },
        folder / "fold_0" / "checkpoint_final.pth",
    )


def predict(folder, configuration_name, scans, before):
    predictor = nnUNetPredictor(
        use_gaussian=False,
        use_mirroring=True,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        verbose=False,
        allow_tqdm=False,
    )
    where = str(folder / f"nnUNetTrainer__nnUNetPlans__{configuration_name}")
    predictor.initialize_from_trained_model_folder(where, (0,), "checkpoint_final.pth")
    reader = predictor.plans_manager.image_reader_writer_class()
    image, properties = reader.read_images(scans)
    previous = None if before is None else sitk.GetArrayFromImage(before)[None].astype(np.int8)
    found = predictor.predict_single_npy_array(image, properties, previous)
    result = sitk.GetImageFromArray(found.astype(np.uint8))
    result.CopyInformation(sitk.ReadImage(scans[0]))
    return result


main()
