"""This module is the table of datatypes: what the protocol calls them, and what numpy does.

Bytes on the wire are little-endian.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.manifest import Datatype

DATATYPES: Mapping[Datatype, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}

BINARY_ONLY: frozenset[Datatype] = frozenset({"FP16"})
"""Datatypes that other servers of the protocol refuse as JSON numbers, and so does this one."""
