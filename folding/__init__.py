"""This package folds the normalization layers of an ONNX graph, proves the result, and drafts the bundle it becomes.

It stands between the contract and the two sides that make bundles: training folds what it exported, the service what
it recalibrated. It knows no torch.

    rules/        what becomes of each layer
    folded.py     a folded graph, and what is known of it         graph.py    what is tidied before and after
    references.py what a folded graph has to agree with           verify.py   whether it does
    speed.py      how much faster it is                           precision.py what to look out for
    proof.py      all of that, and the draft of a bundle          rows.py     rows, from a file or from a caller
    recalibration.py  a bundle and rows to the bundle's next version
"""

from __future__ import annotations

import os

# ONNX Runtime's wheels send telemetry unless told not to; this has to be said before onnxruntime is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
