"""Forms: centre lines, bands along boundaries, diameters."""

from delineate.evaluation.shapes.band import WIDTH_MM, band, boundary_counts
from delineate.evaluation.shapes.centerline import CenterlineOverlap
from delineate.evaluation.shapes.diameter import Diameter
from delineate.evaluation.shapes.thinning import centerline

__all__ = ["WIDTH_MM", "CenterlineOverlap", "Diameter", "band", "boundary_counts", "centerline"]
