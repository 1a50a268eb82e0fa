"""The shape of a convolution or matrix product in elements, and its tilings."""

from dataclasses import dataclass
from math import prod

__all__ = ["Counts", "GemmShape", "Tiling"]


FEW = 4  # GEMM steps a vector for each pass of the ALU: with fewer, it and a store take long


@dataclass(frozen=True)
class GemmShape:
    """A convolution in elements: channels in blocks, images in groups of BATCH.

    A matrix product is one with a 1 x 1 kernel, height 1 and width = groups of rows. Where the
    kernel is 1 high (or wide), only the rows (or columns) that the stride hits are copied.

    `inputs` are those of a sum; `shared`: outputs whose sums go over the same inputs (0: all).
    bias: elements of ACC that the epilogue's tensors have for each block of outputs.
    alu: passes of the epilogue. planes: bytes of a result.
    apart: the residual has ACC entries of its own. terms: of the weights.
    held: ACC entries that the sums of the data take all the time.
    """

    images: int
    inputs: int
    outputs: int
    height: int
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    bias: int = 0
    alu: int = 1
    planes: int = 1
    residual: bool = False
    dilation: tuple[int, int] = (1, 1)
    shared: int = 0
    apart: bool = False
    terms: int = 1
    held: int = 0

    @property
    def grouped(self) -> bool:
        """Not all outputs need the same inputs."""
        return 0 < self.shared < self.outputs

    @property
    def gemm(self) -> int:
        """GEMM steps: those of the product, and one a vector for the residual."""
        return self.vectors * (self.inputs * self.taps + self.residual)

    @property
    def vectors(self) -> int:
        """Elements of the result."""
        return self.images * self.outputs * self.height * self.width

    def steps(self, by_tap: tuple[bool, bool]) -> tuple[int, int]:
        """Distance of neighbouring windows in the copied rows, and columns."""
        axes = zip(self.kernel, self.stride, by_tap, strict=True)
        height, width = (1 if kernel == 1 or own else stride for kernel, stride, own in axes)
        return height, width

    def copied(self, tiling: "Tiling") -> tuple[int, int]:
        """Rows and columns of a copy that a tile needs: of each of its taps, where these have some
        of their own.
        """
        axes = zip(
            *((tiling.height, tiling.width), self.steps(tiling.by_tap)),
            *(self.kernel, self.dilation, tiling.by_tap),
            strict=True,
        )
        rows, columns = (
            (out - 1) * step + 1 + (0 if own else (taps - 1) * dilation)
            for out, step, taps, dilation, own in axes
        )
        return rows, columns

    def copies(self, tiling: "Tiling") -> int:
        """Places of the kernel that have a copy of their own."""
        return prod(n for n, own in zip(self.kernel, tiling.by_tap, strict=True) if own)

    @property
    def dilated(self) -> bool:
        """Is there data between a kernel's taps that they do not meet?"""
        pairs = zip(self.kernel, self.dilation, strict=True)
        return any(taps > 1 and dilation > 1 for taps, dilation in pairs)

    @property
    def eager(self) -> bool:
        """Do results leave so late that a third slot helps? The store of the last but one is not
        over when the next one begins, where the ALU takes long beside GEMM.
        """
        return self.inputs * self.taps < FEW * self.alu

    def sparse(self, tiling: "Tiling") -> bool:
        """Single columns are copied: each is a burst of its own, each row a LOAD."""
        return self.stride[1] > 1 and (self.kernel[1] == 1 or tiling.by_tap[1])

    @property
    def taps(self) -> int:
        """Elements of weights for an element of inputs."""
        return self.terms * self.kernel[0] * self.kernel[1]


@dataclass(frozen=True)
class Tiling:
    """Blocks of output channels, rows and columns of an output tile; input blocks of a step.

    `keep` is "weights" (those of an output-channel tile stay for all its planes), "inputs" (those
    of a plane stay for all its output channels), or "" (both are loaded for every tile).
    `slots` are those that results take turns in. `held`: the epilogue's tensors are loaded once and
    stay in ACC; those of many channels do not fit, and come with each tile of output channels.
    `by_tap`: whether the kernel's rows, and its columns, load what they meet each for itself, and
    not all from the first to the last one together.
    """

    outputs: int
    height: int
    width: int
    inputs: int
    keep: str = ""
    slots: int = 2
    held: bool = True
    by_tap: tuple[bool, bool] = (False, False)

    def part(self, outputs: int, height: int, width: int) -> "Tiling":
        """A tile of other sizes, with no more than what its own cycles depend on."""
        return Tiling(outputs, height, width, self.inputs, by_tap=self.by_tap)


@dataclass(frozen=True)
class Counts:
    """How often what happens: tiles of output channels, of planes, in all; steps in a tile."""

    channels: int
    planes: int
    steps: int

    @property
    def tiles(self) -> int:
        return self.channels * self.planes

    @classmethod
    def of(cls, shape: GemmShape, tiling: Tiling) -> "Counts":
        planes = -(-shape.height // tiling.height) * -(-shape.width // tiling.width)
        channels = -(-shape.outputs // tiling.outputs)
        return cls(channels, planes * shape.images, -(-shape.inputs // tiling.inputs))
