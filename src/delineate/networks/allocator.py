"""Allocator: whether freed memory goes back to the operating system.

Activations of a patch are hundreds of megabytes that are taken and given back at every step. By default
the C library returns such blocks at once, and the next step pays for fresh pages again: on a CPU about a
tenth of a training step and a third of a forward pass over a large patch.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # parameters of mallopt(3)
NEVER = 2**31 - 1
PAD = 256 * 2**20  # bytes taken at a time when the heap grows


def keep_memory() -> bool:
    """Makes this process keep memory it has freed; whether that could be done (glibc only).

    The setting holds for the whole process and cannot be taken back, so only programs call this, never
    the library: memory once used stays with the process, to be used again.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = ((MMAP_MAX, 0), (TRIM_THRESHOLD, NEVER), (TOP_PAD, PAD))
    return all(library.mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for name, value in settings)
