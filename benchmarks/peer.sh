#!/usr/bin/env bash
# The peer, nnU-Net 2.8.1, in an environment of its own (benchmarks/.peer). It is installed without its optional
# parts: they would bring a second torch, or a torchvision that does not fit the CPU build.
set -euo pipefail
cd "$(dirname "$0")"
python3 -m venv .peer
pip() { .peer/bin/python -m pip --disable-pip-version-check -q "$@"; }
pip install -c ../constraints.txt torch==2.13.0
pip install -c ../constraints.txt numpy scipy scikit-image scikit-learn pandas nibabel SimpleITK tifffile blosc2 \
    imagecodecs einops tqdm requests matplotlib seaborn graphviz yacs psutil connected-components-3d batchgenerators
pip install --no-deps nnunetv2==2.8.1 batchgeneratorsv2==0.3.6 dynamic-network-architectures==0.4.4 acvl-utils==0.2.6
.peer/bin/python -c "import nnunetv2.training.nnUNetTrainer.nnUNetTrainer"
echo "the peer is ready: benchmarks/.peer"
