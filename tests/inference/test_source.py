import numpy as np
import torch

from delineate.inference.source import Source

IMAGE = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)


def test_a_scan_larger_than_the_patch_is_not_copied():
    source = Source.of(IMAGE, None, 0, (2, 2, 2))
    assert source.before == (0, 0, 0)
    assert source.image.data_ptr() == IMAGE.ctypes.data


def test_a_small_scan_lies_in_the_middle_of_the_patch_as_in_training():
    source = Source.of(IMAGE, None, 0, (4, 6, 4))
    assert (source.before, source.padded, source.shape) == ((1, 1, 0), (4, 6, 4), (2, 3, 4))
    assert torch.equal(source.image[:, 1:3, 1:4], torch.from_numpy(IMAGE))
    assert float(source.image.sum()) == IMAGE.sum()


def test_previous_labels_become_channels_of_the_window():
    previous = (np.arange(24, dtype=np.int16) % 3).reshape(2, 3, 4)
    window = Source.of(IMAGE, previous, 2, (2, 4, 4)).window((0, 0, 0), (2, 4, 4))
    assert window.shape == (3, 2, 4, 4)
    assert torch.equal(window[1, :, :3], torch.from_numpy(previous == 1).float())
    assert torch.equal(window[2, :, :3], torch.from_numpy(previous == 2).float())
    assert not window[:, :, 3].any()


def test_read_only_arrays_are_copied():
    image = IMAGE.copy()
    image.setflags(write=False)
    assert torch.equal(Source.of(image, None, 0, (1, 1, 1)).image, torch.from_numpy(IMAGE))
