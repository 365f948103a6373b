"""This package is the detectors that are compared; every one is listed here by the name of its column."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.drift.data import Mnist
from benchmarks.drift.detectors.detector import Detector, Features, pixels_as_features
from benchmarks.drift.detectors.kolmogorov_smirnov import KolmogorovSmirnov
from benchmarks.drift.detectors.mean_discrepancy import MeanDiscrepancy
from benchmarks.drift.detectors.normalization import NormalizationLayers
from benchmarks.drift.graphs import Classifier
from models.bundle import Bundle

__all__ = ["DETECTORS", "Detector"]


def _hidden(bundle: Bundle) -> Features:
    return Classifier(bundle.model_path.read_bytes()).hidden


OWN = "normalization"

DETECTORS: Mapping[str, Callable[[Bundle, Mnist], Detector]] = {
    OWN: lambda bundle, data: NormalizationLayers(bundle, data.reference.pixels),
    "its layers alone": lambda bundle, data: NormalizationLayers(bundle, data.reference.pixels, layers_alone=True),
    "KS inputs": lambda _, data: KolmogorovSmirnov(pixels_as_features, data.reference.pixels),
    "KS hidden": lambda bundle, data: KolmogorovSmirnov(_hidden(bundle), data.reference.pixels),
    "MMD inputs": lambda _, data: MeanDiscrepancy(pixels_as_features, data.reference.pixels),
    "MMD hidden": lambda bundle, data: MeanDiscrepancy(_hidden(bundle), data.reference.pixels),
}
