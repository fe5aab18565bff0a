"""Models of other tools, turned into ours once: afterwards nothing of those tools is needed."""

from delineate.inference.foreign.bundle import import_monai
from delineate.inference.foreign.nnunet import import_nnunet

__all__ = ["import_monai", "import_nnunet"]
