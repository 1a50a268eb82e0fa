"""Nodes of an ONNX graph that is made of a TFLite file: the order of axes."""

from collections.abc import Sequence

import onnx_ir as ir

from vta.sw.relax.graph import shape_of
from vta.sw.relax.nodes import Nodes
from vta.sw.relax.tflite import axes

__all__ = ["FileNodes"]


class FileNodes(Nodes):
    """Nodes whose values of rank 4 are NHWC in the file, and NCHW here."""

    def told(self, shape: Sequence[int]) -> tuple[int, ...]:
        return axes.told(shape)

    # Order of axes ----------------------------------------------------------------------------
    def to_nhwc(self, value: ir.Value) -> ir.Value:
        """A value in the order of the file."""
        return self.transposed(value, (0, 2, 3, 1), "nhwc")

    def to_nchw(self, value: ir.Value) -> ir.Value:
        """The reverse."""
        return self.transposed(value, axes.NCHW, "nchw")

    def transposed(self, value: ir.Value, order: Sequence[int], what: str) -> ir.Value:
        return self.emit("Transpose", value, what=what, attributes={"perm": list(order)})

    @staticmethod
    def transposes(had: Sequence[int], shape: Sequence[int]) -> tuple[bool, bool]:
        """Whether a reshape of the file's numbers needs their order, before and after."""
        keeps = len(had) == len(shape) == 4 and had[0] == shape[0] and had[3] == shape[3]
        return not keeps and not axes.same_order(had), not keeps and not axes.same_order(shape)

    def reshaped_to(self, value: ir.Value, shape: Sequence[int], what: str = "lifted") -> ir.Value:
        """A value of another shape; both are as the file has them. It transposes where it must."""
        before, after = self.transposes(axes.told(shape_of(value)), shape)
        value = self.to_nhwc(value) if before else value
        target = shape if after else axes.stored(shape)
        value = self.emit("Reshape", value, self.integers("shape", target), what=what)
        return self.to_nchw(value) if after else value

    def lifted(self, value: ir.Value, rank: int) -> ir.Value:
        """A value with axes of size 1 in front, as broadcasting adds them."""
        shape = axes.told(shape_of(value))
        if value.const_value is not None and rank == 4:
            array = value.const_value.numpy().reshape((1,) * (4 - len(shape)) + shape)
            return self.constant("lifted", array.transpose(axes.order(4)))
        return self.reshaped_to(value, (1,) * (rank - len(shape)) + shape)
