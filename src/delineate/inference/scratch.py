"""Scratch: memory for large sums, or a file in its place.

A file that is mapped into memory reads and writes as memory does, to the bit. What was touched can be let
go at any time: the operating system keeps it where there is room, and otherwise on disk. The file has no
name: it is gone when the program is, however that ends.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from delineate.errors import DataError


@dataclass(frozen=True)
class Scratch:
    """Where sums are kept: on a device, or in a file in `folder`, which then is their home."""

    device: torch.device
    folder: Path | None = None

    def zeros(self, shape: tuple[int, ...]) -> Zeros:
        """Zeros of float32."""
        if self.folder is None:
            return Zeros(torch.zeros(shape, device=self.device), None)
        size = torch.Size(shape).numel()
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                _reserve(file.fileno(), 4 * max(1, size))
                pages = mmap.mmap(file.fileno(), 0)
        except OSError as error:
            raise DataError(
                f"{self.folder}: {4 * size / 1e9:.1f} GB of sums cannot be kept here: {error.strerror}. "
                f"Name a folder with room, or allow more memory."
            ) from None
        return Zeros(torch.frombuffer(pages, dtype=torch.float32)[:size].view(shape), pages)


@dataclass(frozen=True, eq=False)
class Zeros:
    """Numbers that are zero at first; `pages` are those of their file, if they have one."""

    values: Tensor
    pages: mmap.mmap | None

    def let_go(self) -> None:
        """What was touched since needs no memory any more, if it has a file; its values stay."""
        if self.pages is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.pages.madvise(mmap.MADV_DONTNEED)


def _reserve(file: int, size: int) -> None:
    """Makes a file `size` bytes long and takes its place on the disk now: later there is no way to say no."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)
