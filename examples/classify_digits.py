"""Classify three handwritten digits with tritonclient, in binary, and print what the service makes of them.

    make serve                               # in another terminal
    .venv/bin/python examples/classify_digits.py [HOST:PORT]

Needs `pip install tritonclient[http] scikit-learn`; `make test` installs both.
"""

import sys

import numpy as np
import tritonclient.http as triton
from sklearn.datasets import load_digits

address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8000"
digits = load_digits()
images = digits.images[:3].astype(np.float32).reshape(3, 1, 8, 8)

image = triton.InferInput("image", list(images.shape), "FP32")
image.set_data_from_numpy(images)
with triton.InferenceServerClient(address) as client:
    logits = client.infer("digits", [image]).as_numpy("logits")

for label, row in zip(digits.target, logits, strict=False):
    print(f"a {label} is taken for a {row.argmax()}")
