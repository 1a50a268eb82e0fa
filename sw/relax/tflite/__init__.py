"""TFLite files: the flatbuffer, its operators as ONNX nodes in QDQ form, and TFLite's rounding."""
