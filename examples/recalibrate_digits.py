"""Recalibrate a model on brighter digits with less contrast, and print how many it and the new version get right.

    make serve                               # in another terminal
    .venv/bin/python examples/recalibrate_digits.py [HOST:PORT]

The rows that it recalibrates on are others than those that it counts with, and bring no labels. Afterwards the store
has a further version, which answers those who name it until it is promoted.

Needs `pip install tritonclient[http] scikit-learn httpx`; `make test` installs them.
"""

import sys
import time

import httpx
import numpy as np
import tritonclient.http as triton
from sklearn.datasets import load_digits

address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8000"
digits = load_digits()
images = (6 + 0.5 * digits.images).astype(np.float32).reshape(-1, 1, 8, 8)
seen, unseen = np.arange(len(images)) < 400, np.arange(len(images)) >= 400


def tensor(rows: np.ndarray) -> triton.InferInput:
    """Rows as the client sends them."""
    image = triton.InferInput("image", list(rows.shape), "FP32")
    image.set_data_from_numpy(rows)
    return image


def accuracy(version: str) -> float:
    """The share of the unseen digits that a version gets right."""
    with triton.InferenceServerClient(address) as client:
        logits = client.infer("digits", [tensor(images[unseen])], model_version=version).as_numpy("logits")
    return float((logits.argmax(axis=1) == digits.target[unseen]).mean())


body, json_bytes = triton.InferenceServerClient.generate_request_body([tensor(images[seen])])
answer = httpx.post(
    f"http://{address}/v2/models/digits/normalization/recalibrate",
    content=body,
    headers={"Inference-Header-Content-Length": str(json_bytes)},
    timeout=60,
).raise_for_status()
before, after = str(answer.json()["recalibration"]["source_version"]), answer.json()["model_version"]

with triton.InferenceServerClient(address) as client:
    while not client.is_model_ready("digits", after):  # the service sees it within moments
        time.sleep(0.1)
for version in (before, after):
    print(f"version {version}: {accuracy(version):.1%} of the digits are right")
print(f"promote it: POST {answer.json()['promote']['path']} {answer.json()['promote']['body']}")
