"""Which options each operator of a TFLite file has, by the schema's names."""

from typing import Any

import tflite

__all__ = ["OPTIONS"]

FUSED = "FusedActivationFunction"
CONV = ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", FUSED)
POOL = ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", FUSED)
SLICES = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset")
RESIZE = ("AlignCorners", "HalfPixelCenters")

OPTIONS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "ADD": (tflite.AddOptions, (FUSED,)),
    "ARG_MAX": (tflite.ArgMaxOptions, ("OutputType",)),
    "AVERAGE_POOL_2D": (tflite.Pool2DOptions, POOL),
    "CAST": (tflite.CastOptions, ()),
    "CONCATENATION": (tflite.ConcatenationOptions, ("Axis", FUSED)),
    "CONV_2D": (tflite.Conv2DOptions, CONV),
    "DEPTHWISE_CONV_2D": (tflite.DepthwiseConv2DOptions, (*CONV, "DepthMultiplier")),
    "DEPTH_TO_SPACE": (tflite.DepthToSpaceOptions, ("BlockSize",)),
    "DIV": (tflite.DivOptions, (FUSED,)),
    "FULLY_CONNECTED": (tflite.FullyConnectedOptions, (FUSED, "WeightsFormat", "KeepNumDims")),
    "LEAKY_RELU": (tflite.LeakyReluOptions, ("Alpha",)),
    "MAX_POOL_2D": (tflite.Pool2DOptions, POOL),
    "MEAN": (tflite.ReducerOptions, ("KeepDims",)),
    "MIRROR_PAD": (tflite.MirrorPadOptions, ("Mode",)),
    "MUL": (tflite.MulOptions, (FUSED,)),
    "PACK": (tflite.PackOptions, ("Axis",)),
    "REDUCE_MAX": (tflite.ReducerOptions, ("KeepDims",)),
    "REDUCE_MIN": (tflite.ReducerOptions, ("KeepDims",)),
    "RESHAPE": (tflite.ReshapeOptions, ("NewShape",)),
    "RESIZE_BILINEAR": (tflite.ResizeBilinearOptions, RESIZE),
    "RESIZE_NEAREST_NEIGHBOR": (tflite.ResizeNearestNeighborOptions, RESIZE),
    "SOFTMAX": (tflite.SoftmaxOptions, ("Beta",)),
    "SPACE_TO_DEPTH": (tflite.SpaceToDepthOptions, ("BlockSize",)),
    "SPLIT": (tflite.SplitOptions, ("NumSplits",)),
    "SPLIT_V": (tflite.SplitVOptions, ("NumSplits",)),
    "SQUEEZE": (tflite.SqueezeOptions, ("SqueezeDims",)),
    "STRIDED_SLICE": (tflite.StridedSliceOptions, SLICES),
    "SUB": (tflite.SubOptions, (FUSED,)),
    "SUM": (tflite.ReducerOptions, ("KeepDims",)),
    "TRANSPOSE_CONV": (tflite.TransposeConvOptions, ("Padding", "StrideH", "StrideW", FUSED)),
    "UNPACK": (tflite.UnpackOptions, ("Axis",)),
}
