"""Shares: what several raters said, as the share of them who said so.

Each rater's map goes the way of labels (nearest), and the average is made of the patch: no plane per output
is ever stored, and an average of averages is never interpolated.
"""

from __future__ import annotations

import torch
from torch import Tensor

from delineate.space import LabelSchema

Table = tuple[tuple[float, ...], ...]  # (index, output): 1 where voxels of an index belong to an output


def table_of(schema: LabelSchema) -> Table:
    """The outputs that each label index belongs to; index 0 is background."""
    sets = (
        [region.values for region in schema.regions]
        if schema.regions
        else [(0,), *((label.value,) for label in schema.labels)]
    )
    values = (0, *(label.value for label in schema.labels))
    return tuple(tuple(float(value in members) for members in sets) for value in values)


def averaged(maps: Tensor, table: Table) -> Tensor:
    """(output, *edges) shares of the raters who annotated a voxel; -1 in every output where none did.

    maps  (rater, *edges) label indices, -1 where a rater annotated nothing
    """
    known = maps >= 0
    count = known.sum(0)
    rows = torch.tensor(table, device=maps.device)
    said = rows[maps.clamp(min=0).long()] * known.unsqueeze(-1)  # (rater, *edges, output)
    shares = said.sum(0) / count.clamp(min=1).unsqueeze(-1)
    shares = torch.where((count > 0).unsqueeze(-1), shares, torch.full_like(shares, -1))
    return shares.movedim(-1, 0)
