"""The peer's side of the training benchmark; runs in benchmarks/.peer.

    peer_training.py WORK STEPS DEVICE WARM

Its trainer is nnU-Net's own for one epoch, without the validation at the end. Prints JSON: seconds a step
after the first WARM, the share of them in which it waited for a batch, and the batch and patch of the plan.
"""

import json
import os
import sys
import time
from pathlib import Path

WORK, STEPS, DEVICE, WARM = Path(sys.argv[1]).resolve(), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
places = {"raw": "raw", "preprocessed": "preprocessed", "results": "peer_training"}
for name, place in places.items():
    os.environ[f"nnUNet_{name}"] = str(WORK / place)
if DEVICE == "cpu":
    os.environ["nnUNet_compile"] = "f"  # noqa: SIM112 - its name

import torch  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402


class Timed(nnUNetTrainer):
    """Notes when each step began and ended."""

    def __init__(self, plans, configuration, fold, dataset_json, device):
        super().__init__({**plans, "continue_training": False}, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch = 1, STEPS + WARM
        self.num_val_iterations_per_epoch = 1
        self.moments = []

    def train_step(self, batch):
        began = time.monotonic()
        result = super().train_step(batch)
        self.moments.append((began, time.monotonic()))
        return result


def main() -> None:
    folder = WORK / "preprocessed" / "Dataset004_Hippocampus"
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    dataset_json = json.loads((folder / "dataset.json").read_text())
    trainer = Timed(plans, "3d_fullres", 0, dataset_json, torch.device(DEVICE))
    trainer.run_training()
    counted = trainer.moments[WARM:]
    before = [trainer.moments[WARM - 1], *counted]
    seconds = (counted[-1][1] - before[0][1]) / len(counted)
    waits = [began - ended for (_, ended), (began, _) in zip(before, counted, strict=False)]
    manager = trainer.configuration_manager
    said = {
        "seconds": seconds,
        "waited": sum(waits) / len(waits) / seconds,
        "batch": manager.batch_size,
        "patch": [int(n) for n in manager.patch_size][::-1],
    }
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
