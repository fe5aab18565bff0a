"""From raw scans to reviewed contours: medical image segmentation that configures itself."""

__version__ = "0.1.0"
