"""The floor: a codec pipeline that does nothing, which shows the cost of zarr-python itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.registry import register_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable

_PRESENT: Any = {"status": "present"}


class FloorPipeline(BatchedCodecPipeline):
    """Consumes each batch (zarr-python creates its items lazily) and leaves `out` untouched."""

    async def read(self, batch_info: Iterable[Any], out: Any, drop_axes: Any = ()) -> Any:
        return tuple(_PRESENT for _ in batch_info)

    async def write(self, batch_info: Iterable[Any], value: Any, drop_axes: Any = ()) -> None:
        for _ in batch_info:
            pass


register_pipeline(FloorPipeline)
