"""Asks nnU-Net whether datasets are in order: for its own environment, not for ours.

peer-python tests/dataset/peer_verdicts.py VERDICTS.json FOLDER...
"""

import contextlib
import json
import sys
from pathlib import Path


def verdict(folder):
    """Whether nnU-Net lets a dataset pass."""
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    try:
        with contextlib.redirect_stdout(sys.stderr):
            verify_dataset_integrity(folder, num_processes=1)
    except Exception as refused:  # noqa: BLE001 - it raises many kinds
        sys.stderr.write(f"{folder}: {refused!r}\n")
        return False
    return True


if __name__ == "__main__":
    answer = json.dumps({Path(folder).name: verdict(folder) for folder in sys.argv[2:]}, indent=2)
    Path(sys.argv[1]).write_text(answer + "\n")
