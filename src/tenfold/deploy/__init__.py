"""From a trained network to an ONNX file: export, the check that it answers alike, size and speed."""
