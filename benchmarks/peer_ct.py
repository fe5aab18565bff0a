"""The peer's side of the CT benchmark; runs in benchmarks/.peer.

peer_ct.py complete MODEL_FOLDER            every name that its own network has, so that its program opens it
peer_ct.py export MODEL_FOLDER SCAN LOGITS TARGET    its function from logits to labels, timed
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager


def complete(folder: Path) -> None:
    plans = json.loads((folder / "plans.json").read_text())
    classes = len(json.loads((folder / "dataset.json").read_text())["labels"])
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    network = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        1,
        classes,
        deep_supervision=True,
    )
    file = folder / "fold_0" / "checkpoint_final.pth"
    content = torch.load(file, weights_only=False)
    given = content["network_weights"]
    missing = [name for name, _ in network.named_parameters() if name not in given]
    assert not missing, missing
    network.load_state_dict(given, strict=False)
    content["network_weights"] = network.state_dict()
    torch.save(content, file)


def export(folder: Path, scan: Path, logits: Path, target: Path) -> None:
    import SimpleITK as itk  # noqa: N813

    plans = PlansManager(str(folder / "plans.json"))
    configuration = plans.get_configuration("3d_fullres")
    labels = plans.get_label_manager(json.loads((folder / "dataset.json").read_text()))
    image = itk.ReadImage(str(scan))
    shape, spacing = image.GetSize()[::-1], list(image.GetSpacing()[::-1])
    properties = {
        "spacing": spacing,
        "shape_before_cropping": shape,
        "bbox_used_for_cropping": [[0, n] for n in shape],
        "shape_after_cropping_and_before_resampling": shape,
    }
    array = torch.from_numpy(np.load(logits))
    start = time.perf_counter()
    found = convert_predicted_logits_to_segmentation_with_correct_shape(
        array, plans, configuration, labels, properties
    )
    seconds = time.perf_counter() - start
    np.save(target, np.asarray(found).transpose())
    target.with_suffix(".json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    {"complete": complete, "export": export}[sys.argv[1]](*map(Path, sys.argv[2:]))
