import pytest
import torch

from delineate.networks.blocks import (
    ConvBlock,
    ResidualBlock,
    conv_blocks,
    residual_blocks,
    shortcut,
    upsampling,
)


@pytest.mark.parametrize(
    ("kernel", "stride"), [((3, 3), (2, 1)), ((1, 3, 5), (1, 2, 2)), ((7, 3, 1), (2, 2, 1))]
)
@pytest.mark.parametrize("kind", [ConvBlock, ResidualBlock])
def test_only_the_stride_changes_the_size(kind, kernel, stride):
    edges = (8, 12, 16)[: len(kernel)]
    out = kind(2, 5, kernel, stride)(torch.randn(2, 2, *edges, generator=torch.Generator().manual_seed(0)))
    assert tuple(out.shape) == (2, 5, *(e // s for e, s in zip(edges, stride, strict=True)))


def test_upsampling_undoes_the_stride():
    assert upsampling(4, 2, (1, 2, 3))(torch.zeros(1, 4, 2, 2, 2)).shape == (1, 2, 2, 4, 6)


def test_the_first_block_of_a_row_carries_stride_and_channels():
    for rows in (conv_blocks, residual_blocks):
        row = rows(3, 2, 4, (3, 3), (2, 2))
        assert len(row) == 3
        assert row[0](torch.zeros(1, 2, 8, 8)).shape == (1, 4, 4, 4)
        assert row[1](torch.zeros(1, 4, 4, 4)).shape == (1, 4, 4, 4)


def test_a_shortcut_that_changes_nothing_is_the_identity():
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    assert torch.equal(shortcut(2, 2, (1, 1))(x), x)


def test_a_strided_shortcut_averages():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert shortcut(1, 1, (2, 2))(x).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
