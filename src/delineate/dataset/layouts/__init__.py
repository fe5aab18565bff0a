"""How datasets lie on disk: each layout recognises its own and lists the files."""

from delineate.dataset.layouts.recognition import LAYOUT_NAMES, LAYOUTS, Layout, listed

__all__ = ["LAYOUTS", "LAYOUT_NAMES", "Layout", "listed"]
