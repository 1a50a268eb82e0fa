"""What convolutions and pools share: pads that keep the size."""

from collections.abc import Sequence

__all__ = ["same_pads"]


def same_pads(
    size: Sequence[int], strides: Sequence[int], reach: Sequence[int], *, upper: bool
) -> list[int]:
    """Pads, first all begins, so that ceil(size / stride) comes out, as auto_pad SAME means it.

    Arguments
    ---------
    reach: of the kernel, with its dilation.
    upper: of an odd number the larger half is at the end.
    """
    begins, ends = [], []
    for n, stride, width in zip(size, strides, reach, strict=True):
        total = max((-(-n // stride) - 1) * stride + width - n, 0)
        half = total // 2
        begins.append(half if upper else total - half)
        ends.append(total - half if upper else half)
    return begins + ends
