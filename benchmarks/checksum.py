"""The checksum of a result: CRC-32C of shape and elements, in native byte order. Cheap compared with a read."""

from __future__ import annotations

from typing import Any

import google_crc32c
import numpy as np


def checksum(found: Any) -> str:
    """Eight hexadecimal digits, over the C-order bytes of an array, or of each array of a list in order."""
    total = 0
    for one in found if isinstance(found, list) else [found]:
        array = np.asarray(one)
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
        total = google_crc32c.extend(total, repr(np.shape(one)).encode())
        total = google_crc32c.extend(total, array.reshape(-1).view("u1"))
    return f"{total:08x}"
