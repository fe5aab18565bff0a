"""The peer's side of the hippocampus benchmark; runs in benchmarks/.peer.

    peer_nnunet.py WORK EPOCHS ITERATIONS SEED

WORK/raw/Dataset004_Hippocampus holds nnU-Net raw data with imagesTs; WORK/splits.json the one split. Prints
a JSON line with the seconds of each stage; predictions go to WORK/peer_SEED/. The trainer is nnU-Net's own
but for the number of epochs and iterations, so that its learning rate schedule ends within the budget.
"""

import json
import os
import random
import shutil
import sys
import time
from pathlib import Path

WORK = Path(sys.argv[1]).resolve()
EPOCHS, ITERATIONS, SEED = (int(value) for value in sys.argv[2:5])
for name in ("raw", "preprocessed", "results"):
    os.environ[f"nnUNet_{name}"] = str(WORK / name)
os.environ["nnUNet_compile"] = "f"  # noqa: SIM112 - its name

import numpy as np  # noqa: E402
import torch  # noqa: E402
from nnunetv2.experiment_planning.plan_and_preprocess_api import (  # noqa: E402
    extract_fingerprints,
    plan_experiments,
    preprocess,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402
from nnunetv2.utilities.label_handling.label_handling import (  # noqa: E402
    determine_num_input_channels,
)


class ShortTrainer(nnUNetTrainer):
    """The stock recipe with fewer epochs."""

    def __init__(self, plans, configuration, fold, dataset_json, device):
        super().__init__({**plans, "continue_training": False}, configuration, fold, dataset_json, device)
        self.num_epochs = EPOCHS
        self.num_iterations_per_epoch = ITERATIONS
        self.num_val_iterations_per_epoch = max(1, ITERATIONS // 5)


def main() -> None:
    seconds = {}
    start = time.monotonic()
    if not (WORK / "preprocessed").is_dir():
        extract_fingerprints([4], num_processes=2)
        plan_experiments([4])
        preprocess([4], configurations=("3d_fullres",), num_processes=(2,))
    seconds["prepare"] = time.monotonic() - start
    folder = WORK / "preprocessed" / "Dataset004_Hippocampus"
    shutil.copy(WORK / "splits.json", folder / "splits_final.json")
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    dataset_json = json.loads((folder / "dataset.json").read_text())
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - the peer draws from the global generator
    torch.manual_seed(SEED)
    start = time.monotonic()
    trainer = ShortTrainer(plans, "3d_fullres", 0, dataset_json, torch.device("cpu"))
    trainer.run_training()
    seconds["train"] = time.monotonic() - start
    start = time.monotonic()
    predict(trainer, dataset_json)
    seconds["predict"] = time.monotonic() - start
    print("PEER", json.dumps(seconds))


def predict(trainer: nnUNetTrainer, dataset_json: dict) -> None:
    network = trainer.network
    network.decoder.deep_supervision = False
    predictor = nnUNetPredictor(
        use_mirroring=False, perform_everything_on_device=False, device=torch.device("cpu"), verbose=False
    )
    predictor.manual_initialization(
        network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [network.state_dict()],
        dataset_json,
        "nnUNetTrainer",
        trainer.inference_allowed_mirroring_axes,
    )
    assert (
        determine_num_input_channels(trainer.plans_manager, trainer.configuration_manager, dataset_json) == 1
    )
    images = sorted((WORK / "raw/Dataset004_Hippocampus/imagesTs").glob("*.nii.gz"))
    out = WORK / f"peer_{SEED}"
    out.mkdir(exist_ok=True)
    predictor.predict_from_files_sequential(
        [[str(i)] for i in images], [str(out / i.name.replace("_0000", "")) for i in images]
    )


if __name__ == "__main__":
    main()
