"""This package serves a store of bundles over HTTP; it never imports torch or training."""

import os

# ONNX Runtime's wheels send telemetry unless told not to; this has to be said before onnxruntime is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
