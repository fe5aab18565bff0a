"""What a scan is: voxels with a place in the patient."""

from delineate.space.box import Box
from delineate.space.crop import nonzero_box, nonzero_mask
from delineate.space.geometry import Geometry
from delineate.space.labels import Label, LabelMap, LabelSchema, Region
from delineate.space.registration import Alignment, RegistrationRules, register
from delineate.space.resampling import resample, resample_labels
from delineate.space.slices import Slices
from delineate.space.triple import Shape, Spacing, triple
from delineate.space.volume import Source, Volume

__all__ = [
    "Alignment",
    "Box",
    "Geometry",
    "Label",
    "LabelMap",
    "LabelSchema",
    "Region",
    "RegistrationRules",
    "Shape",
    "Slices",
    "Source",
    "Spacing",
    "Volume",
    "nonzero_box",
    "nonzero_mask",
    "register",
    "resample",
    "resample_labels",
    "triple",
]
