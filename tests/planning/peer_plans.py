"""Oracle: nnU-Net's own fingerprints and plans, as JSON. Run with the Python of an nnU-Net environment.

    peer-python tests/planning/peer_plans.py < questions.json > answers.json

A question: {"name", "channels": [...], "labels": {name: value or list}, "presets": [...], "memory_gb": null
or number, and either "shapes" (k, j, i after cropping), "spacings" and "kept", or "cases": [{"images": [...],
"label": path}] and "reader", by which nnU-Net measures its fingerprint itself}.
Reaches no network. Nothing of delineate is imported.
"""

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

PLANNERS = {
    "default": "ExperimentPlanner",
    "M": "nnUNetPlannerResEncM",
    "L": "nnUNetPlannerResEncL",
    "XL": "nnUNetPlannerResEncXL",
}


def main():
    questions = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("raw", "preprocessed", "results"):
            os.environ[f"nnUNet_{name}"] = str(Path(folder) / name)
        os.environ["nnUNet_n_proc_DA"] = "1"  # noqa: SIM112 - its name
        with contextlib.redirect_stdout(sys.stderr):
            answers = [answer(Path(folder), n, question) for n, question in enumerate(questions, 1)]
    json.dump(answers, sys.stdout)


def answer(folder, number, question):
    dataset = f"Dataset{number:03d}_{question['name']}"
    raw, preprocessed = folder / "raw" / dataset, folder / "preprocessed" / dataset
    raw.mkdir(parents=True)
    preprocessed.mkdir(parents=True)
    cases = question.get("cases") or [{"images": ["x.nii.gz"], "label": "x.nii.gz"}] * len(question["shapes"])
    (raw / "dataset.json").write_text(
        json.dumps(
            {
                "channel_names": {str(n): name for n, name in enumerate(question["channels"])},
                "labels": {"background": 0, **question["labels"]},
                "numTraining": len(cases),
                "file_ending": ".nii.gz",  # not looked at: the reader is named
                "overwrite_image_reader_writer": question.get("reader", "SimpleITKIO"),
                "dataset": {f"case_{n:03d}": case for n, case in enumerate(cases)},
            }
        )
    )
    found = measured(dataset) if question.get("cases") else given(question)
    (preprocessed / "dataset_fingerprint.json").write_text(json.dumps(found))
    plans = {
        preset: planned(dataset, preset, question.get("memory_gb"))
        for preset in question.get("presets", ["default"])
    }
    return {"name": question["name"], "fingerprint": found, "plans": plans}


def given(question):
    properties = {"mean": 0.0, "median": 0.0, "std": 1.0, "min": -1.0, "max": 1.0}
    properties |= {"percentile_99_5": 1.0, "percentile_00_5": -1.0}
    return {
        "spacings": question["spacings"],
        "shapes_after_crop": question["shapes"],
        "median_relative_size_after_cropping": question["kept"],
        "foreground_intensity_properties_per_channel": {
            str(n): properties for n in range(len(question["channels"]))
        },
    }


def measured(dataset):
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
        DatasetFingerprintExtractor,
    )

    extractor = DatasetFingerprintExtractor(dataset, 2)
    extractor.num_foreground_voxels_for_intensitystats = 10e6  # a tenth of the default: memory
    found = extractor.run(overwrite_existing=True)
    return json.loads(json.dumps(found, default=lambda value: value.tolist()))


def planned(dataset, preset, memory_gb):
    from nnunetv2.experiment_planning.experiment_planners import default_experiment_planner
    from nnunetv2.experiment_planning.experiment_planners.residual_unets import residual_encoder_unet_planners

    name = PLANNERS[preset]
    home = default_experiment_planner if preset == "default" else residual_encoder_unet_planners
    planner = getattr(home, name)
    made = planner(dataset) if memory_gb is None else planner(dataset, gpu_memory_target_in_gb=memory_gb)
    plans = made.plan_experiment()
    return {
        "transpose": plans["transpose_forward"],
        "configurations": {
            name: summary(configuration) for name, configuration in plans["configurations"].items()
        },
    }


def summary(configuration):
    """The fields that decide something, without names of functions and files."""
    if "inherits_from" in configuration:
        return {key: configuration[key] for key in ("inherits_from", "previous_stage")}
    network = configuration["architecture"]
    kwargs = network["arch_kwargs"]
    return {
        "spacing": configuration["spacing"],
        "median_shape": configuration["median_image_size_in_voxels"],
        "patch": configuration["patch_size"],
        "batch": configuration["batch_size"],
        "batch_dice": configuration["batch_dice"],
        "normalization": configuration["normalization_schemes"],
        "masked": configuration["use_mask_for_norm"],
        "network": network["network_class_name"].rpartition(".")[2],
        "features": kwargs["features_per_stage"],
        "strides": kwargs["strides"],
        "kernels": kwargs["kernel_sizes"],
        "encoder": kwargs.get("n_conv_per_stage", kwargs.get("n_blocks_per_stage")),
        "decoder": kwargs["n_conv_per_stage_decoder"],
        "stages": kwargs["n_stages"],
    }


if __name__ == "__main__":
    main()
