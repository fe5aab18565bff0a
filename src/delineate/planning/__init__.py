"""What the data tell us, and what we decide."""

from delineate.planning.architectures import ARCHITECTURES, NetworkName
from delineate.planning.fingerprint import CaseFingerprint, Fingerprint, Intensities, fingerprint
from delineate.planning.plan import (
    Augmentation,
    ChannelPlan,
    Configuration,
    ConfigurationName,
    Denoise,
    NetworkSpec,
    Normalization,
    Plan,
    Sampling,
    Training,
)
from delineate.planning.planner import make_plan
from delineate.planning.table import plan_table

__all__ = [
    "ARCHITECTURES",
    "Augmentation",
    "CaseFingerprint",
    "ChannelPlan",
    "Configuration",
    "ConfigurationName",
    "Denoise",
    "Fingerprint",
    "Intensities",
    "NetworkName",
    "NetworkSpec",
    "Normalization",
    "Plan",
    "Sampling",
    "Training",
    "fingerprint",
    "make_plan",
    "plan_table",
]
