"""What convolutions of images share: data, groups, kernel, strides, dilation and pads by direction.

What goes by direction has a short form for all of them; the long ones go before it.
"""

from dataclasses import dataclass

from vta.hw.config import Config
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.product import Product
from vta.sw.operators.shape import Tiling

__all__ = ["Window"]


@dataclass(frozen=True, kw_only=True)
class Window(Product):
    """A product of windows of images, (images, channels, height, width), with weights."""

    images: int | None = attribute("images (none: BATCH)", None, minimum=1)
    height: int = attribute("rows of the data", 14, minimum=1)
    width: int = attribute("columns of the data", 14, minimum=1)
    channels: int = attribute("channels of the data", 256, minimum=1)
    outputs: int = attribute("channels of the result", 256, minimum=1)
    kernel_height: int = attribute("rows of the kernel", 3, minimum=1)
    kernel_width: int = attribute("columns of the kernel", 3, minimum=1)
    stride: int = attribute("stride in both directions", 1, unit="pixels", minimum=1)
    stride_height: int | None = attribute(
        "stride down (none: stride)", None, unit="pixels", minimum=1
    )
    stride_width: int | None = attribute(
        "stride right (none: stride)", None, unit="pixels", minimum=1
    )
    padding: int = attribute("zeros on each side", 1, unit="pixels", minimum=0)
    pad_top: int | None = attribute("zeros above (none: padding)", None, unit="rows", minimum=0)
    pad_left: int | None = attribute(
        "zeros on the left (none: padding)", None, unit="columns", minimum=0
    )
    pad_bottom: int | None = attribute("zeros below (none: padding)", None, unit="rows", minimum=0)
    pad_right: int | None = attribute(
        "zeros on the right (none: padding)", None, unit="columns", minimum=0
    )
    dilation: int = attribute("distance of the kernel's places", 1, unit="pixels", minimum=1)
    dilation_height: int | None = attribute(
        "dilation down (none: dilation)", None, unit="pixels", minimum=1
    )
    dilation_width: int | None = attribute(
        "dilation right (none: dilation)", None, unit="pixels", minimum=1
    )
    groups: int = attribute(
        "parts of the channels that are convolved each by itself; as many as channels: depthwise, "
        "with outputs / channels as multiplier",
        1,
        minimum=1,
    )

    def check(self) -> None:
        for name in ("channels", "outputs"):
            if getattr(self, name) % self.groups:
                raise OperatorError(
                    f"{self.name}: {name} is {getattr(self, name)}, which {self.groups} groups do "
                    "not divide: each group has as many"
                )
        super().check()

    def all_images(self, config: Config) -> int:
        return config.batch if self.images is None else self.images

    def tile(self, tiling: Tiling) -> tuple[int, ...]:
        return 1, tiling.height, tiling.width

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def kernel_size(self) -> tuple[int, int]:
        return self.kernel_height, self.kernel_width

    @property
    def strides(self) -> tuple[int, int]:
        return _or(self.stride_height, self.stride), _or(self.stride_width, self.stride)

    @property
    def dilations(self) -> tuple[int, int]:
        return _or(self.dilation_height, self.dilation), _or(self.dilation_width, self.dilation)

    @property
    def spans(self) -> tuple[int, int]:
        """From the kernel's first row (column) to its last one, both included."""
        down, right = self.dilations
        return (self.kernel_height - 1) * down + 1, (self.kernel_width - 1) * right + 1

    @property
    def pads(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Top and bottom, left and right."""
        top, bottom, left, right = (
            _or(pad, self.padding)
            for pad in (self.pad_top, self.pad_bottom, self.pad_left, self.pad_right)
        )
        return (top, bottom), (left, right)

    @property
    def places(self) -> str:
        """Kernel, strides, dilation and pads as they stand in a label, such as "k3x3_s2_p1"."""
        (top, bottom), (left, right) = self.pads
        dilation = f"_d{_short(*self.dilations)}" if self.dilations != (1, 1) else ""
        kernel = "x".join(map(str, self.kernel_size))
        pads = _short(top, left, bottom, right)
        return f"k{kernel}_s{_short(*self.strides)}{dilation}_p{pads}"

    @property
    def described(self) -> str:
        """The same in words."""
        (top, bottom), (left, right) = self.pads
        dilation = f", dilation {_short(*self.dilations)}" if self.dilations != (1, 1) else ""
        kernel = "x".join(map(str, self.kernel_size))
        pads = _short(top, left, bottom, right)
        return f"{kernel}, stride {_short(*self.strides)}{dilation}, padding {pads}"


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _short(*values: int) -> str:
    """One number where all are the same."""
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))
