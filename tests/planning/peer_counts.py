"""Oracle: nnU-Net's own count of feature values. Run with the Python of an nnU-Net environment.

    peer-python tests/planning/peer_counts.py < networks.json > counts.json

Networks as in `peer_counts.json`; the answer is one number for each.
"""

import json
import sys

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn


def counted(network):
    kwargs = {
        "input_channels": network["inputs"],
        "n_stages": len(network["features"]),
        "features_per_stage": network["features"],
        "conv_op": nn.Conv3d if len(network["edges"]) == 3 else nn.Conv2d,
        "kernel_sizes": network["kernels"],
        "strides": network["strides"],
        "num_classes": network["outputs"],
        "n_conv_per_stage_decoder": network["decoder_blocks"],
    }
    with torch.device("meta"):
        if network["kind"] == "unet":
            net = PlainConvUNet(n_conv_per_stage=network["encoder_blocks"], **kwargs)
        else:
            net = ResidualEncoderUNet(n_blocks_per_stage=network["encoder_blocks"], **kwargs)
    return int(net.compute_conv_feature_map_size(network["edges"]))


json.dump([counted(network) for network in json.load(sys.stdin)], sys.stdout)
