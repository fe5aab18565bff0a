"""Clean: noise and shading taken out of a scan, the same in training and for new scans.

Each channel has its own rule in the plan. Nothing is cleaned unless the plan says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError
from delineate.planning.plan import ChannelPlan, Denoise
from delineate.space import Spacing, Volume

Channel = npt.NDArray[np.float32]  # (i, j, k)

# N4 as its authors run it: Tustison 2010, doi:10.1109/TMI.2010.2046908, and ANTs' defaults.
SHRINK = 4  # the field is smooth: every fourth voxel is enough to find it
ITERATIONS = [50] * 4  # at most, on each of four levels of detail
CONVERGENCE = 1e-3  # change of the field's coefficient of variation below which a level is done
OTSU_BINS = 200


def cleaned(scan: Volume, channels: Sequence[ChannelPlan]) -> Volume:
    """The scan with every channel denoised by its rule; the same object where no rule does anything."""
    if all(channel.denoise.rule == "none" for channel in channels):
        return scan
    array = np.array(scan.array, dtype=np.float32)  # a copy: scans are shared
    for values, channel in zip(array, channels, strict=True):
        values[...] = _cleaned(values, channel, scan)
    return Volume(array, scan.geometry, scan.channels, scan.source)


def median(values: Channel, size: int) -> Channel:
    """Each voxel's median over a cube of `size` voxels; over a square in a 2D image.

    Beyond the border the outermost voxel repeats (scipy's "nearest", OpenCV's BORDER_REPLICATE).
    """
    sizes = tuple(size if n > 1 else 1 for n in values.shape)
    from scipy import ndimage  # heavy: only who needs it waits

    return np.asarray(ndimage.median_filter(values, size=sizes, mode="nearest"))


def unshaded(values: Channel, spacing: Spacing) -> Channel:
    """The channel divided by its bias field, which N4 finds in the voxels above Otsu's threshold.

    A channel of one value has no shading and comes back as it is.
    """
    import SimpleITK as itk  # noqa: N813 - heavy: only who asks for N4 pays for it

    if values.min() == values.max():
        return values
    thick = [axis for axis, n in enumerate(values.shape) if n > 1]  # a 2D image is corrected in 2D
    image = itk.GetImageFromArray(values.squeeze().T)  # its arrays have the last axis first
    image.SetSpacing([spacing[axis] for axis in thick])
    mask = itk.OtsuThreshold(image, 0, 1, OTSU_BINS)
    steps = [max(1, min(SHRINK, n // SHRINK)) for n in image.GetSize()]
    n4 = itk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(ITERATIONS)
    n4.SetConvergenceThreshold(CONVERGENCE)
    n4.Execute(itk.Shrink(image, steps), itk.Shrink(mask, steps))
    field = itk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image)).T
    return np.asarray(values / np.exp(field).reshape(values.shape), dtype=np.float32)


def _cleaned(values: Channel, channel: ChannelPlan, scan: Volume) -> Channel:
    rule: Denoise = channel.denoise
    match rule.rule:
        case "none":
            return values
        case "median":
            return median(values, rule.size)
        case "n4":
            try:
                return unshaded(values, scan.geometry.spacing)
            except RuntimeError as error:  # what ITK raises, whatever the cause
                raise DataError(
                    f"channel {channel.name}{scan.source.note}: N4 found no bias field: "
                    f"{str(error).strip().splitlines()[-1]} "
                    'Look at the scan, or set denoise to "none" for this channel in the plan.'
                ) from None
