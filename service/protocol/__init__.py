"""This package turns bytes into tensors and back, by the Open Inference Protocol; it knows no HTTP and no ONNX."""
