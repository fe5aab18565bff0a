"""Mask R-CNN: finds the single objects of a picture, each with a box, a kind, a score and an outline."""

from delineate.networks.mask_rcnn.network import Answers, Counts, Judged, MaskRCNN
from delineate.networks.mask_rcnn.nms import kept
from delineate.networks.mask_rcnn.proposals import Found
from delineate.networks.mask_rcnn.roi_align import roi_align
from delineate.networks.mask_rcnn.truth import Truth, truth_of

__all__ = ["Answers", "Counts", "Found", "Judged", "MaskRCNN", "Truth", "kept", "roi_align", "truth_of"]
