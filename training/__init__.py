"""This package builds, fits, folds and exports networks trained with batch normalization; torch lives only here."""

import os

# ONNX Runtime's wheels send telemetry unless told not to; this has to be said before onnxruntime is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
