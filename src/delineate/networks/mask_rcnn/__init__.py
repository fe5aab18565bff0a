"""Mask R-CNN: finds the single objects of a picture, each with a box, a kind, a score and an outline."""
