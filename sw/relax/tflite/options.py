"""Which options each operator of a TFLite file has: their table, and those read, as the schema
calls them."""

__all__ = ["OPTIONS"]

FUSED = "FusedActivationFunction"
CONV = ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", FUSED)
POOL = ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", FUSED)
SLICES = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset")
RESIZE = ("AlignCorners", "HalfPixelCenters")

OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ADD": ("AddOptions", (FUSED,)),
    "ARG_MAX": ("ArgMaxOptions", ("OutputType",)),
    "AVERAGE_POOL_2D": ("Pool2DOptions", POOL),
    "CAST": ("CastOptions", ()),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", FUSED)),
    "CONV_2D": ("Conv2DOptions", CONV),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", (*CONV, "DepthMultiplier")),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", ("BlockSize",)),
    "DIV": ("DivOptions", (FUSED,)),
    "FULLY_CONNECTED": ("FullyConnectedOptions", (FUSED, "WeightsFormat", "KeepNumDims")),
    "LEAKY_RELU": ("LeakyReluOptions", ("Alpha",)),
    "MAX_POOL_2D": ("Pool2DOptions", POOL),
    "MEAN": ("ReducerOptions", ("KeepDims",)),
    "MIRROR_PAD": ("MirrorPadOptions", ("Mode",)),
    "MUL": ("MulOptions", (FUSED,)),
    "PACK": ("PackOptions", ("Axis",)),
    "REDUCE_MAX": ("ReducerOptions", ("KeepDims",)),
    "REDUCE_MIN": ("ReducerOptions", ("KeepDims",)),
    "RESHAPE": ("ReshapeOptions", ("NewShape",)),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", RESIZE),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", RESIZE),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", ("BlockSize",)),
    "SPLIT": ("SplitOptions", ("NumSplits",)),
    "SPLIT_V": ("SplitVOptions", ("NumSplits",)),
    "SQUEEZE": ("SqueezeOptions", ("SqueezeDims",)),
    "STRIDED_SLICE": ("StridedSliceOptions", SLICES),
    "SUB": ("SubOptions", (FUSED,)),
    "SUM": ("ReducerOptions", ("KeepDims",)),
    "TRANSPOSE_CONV": ("TransposeConvOptions", ("Padding", "StrideH", "StrideW", FUSED)),
    "UNPACK": ("UnpackOptions", ("Axis",)),
}
