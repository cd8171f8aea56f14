"""Which parts of an array's work run in Rust, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype

from zarrs import _config
from zarrs._codecs import chain_of, data_types, evolve, python_steps, vlen
from zarrs._pipeline import ZarrsCodecPipeline
from zarrs._stores import routes
from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    import zarr


@dataclass(frozen=True)
class Explanation:
    """How an array is read and written.

    Attributes
    ----------
    native : bool
        Whether reads and writes of plain NumPy arrays run in Rust, but for the codecs that `steps` says run in Python.
    pipeline : str
        The class that zarr calls for this array.
    store : str
        The path to the store: "native files", "native zip", "native memory", or "called from threads" or "awaited in Python" with its class.
    steps : tuple of (str, str)
        For each codec, in encoding order, its class and where it runs: "Rust", "Python", or "zarr-python" for all of them.
        Python codecs inside a shard follow the sharding codec; filters and compressor of format 2 stand for themselves
        where one of them is a Python codec.
    reasons : tuple of str
        Why zarr-python's own pipeline takes over; empty if it does not.
    """

    native: bool
    pipeline: str
    store: str
    steps: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"runs in {'Rust' if self.native else 'zarr-python'} ({self.pipeline})",
            f"  store: {self.store}",
        ]
        lines += [f"  {name}: {where}" for name, where in self.steps]
        lines += [f"  because of {reason}" for reason in self.reasons]
        return "\n".join(lines)


def explain(array: zarr.Array[Any] | zarr.AsyncArray[Any]) -> Explanation:
    """Which steps of `array` run in Rust, which in Python, which path its store takes, and why. No I/O."""
    async_array: Any = getattr(array, "async_array", None) or getattr(array, "_async_array", array)
    pipeline = async_array.codec_pipeline
    name = f"{type(pipeline).__module__}.{type(pipeline).__qualname__}"
    if not isinstance(pipeline, ZarrsCodecPipeline):
        reason = (
            f"pipeline {name}: it was chosen by `codec_pipeline.path` when the array was opened"
        )
        steps = tuple((type(codec).__name__, "Python") for codec in pipeline)
        return Explanation(False, name, "zarr-python's own", steps, (reason,))
    reasons = []
    spec = _chunk_spec(async_array)
    try:
        if vlen.is_text(spec.dtype):
            vlen.check_fill(spec.fill_value, spec.dtype)
        else:
            data_types.check(spec.dtype.to_native_dtype())
    except UnsupportedError as error:
        reasons.append(f"{error.what}: {error.reason}")
    try:
        codecs = evolve(pipeline.codecs, spec)
        steps = tuple(python_steps.places(codecs, chain_of(codecs, spec)))
    except UnsupportedError as error:
        reasons.append(f"{error.what}: {error.reason}")
    store = async_array.store_path.store
    # The key of any chunk of the array.
    key = f"{async_array.store_path.path}/c".lstrip("/")
    path = routes.describe(store, key, spec.prototype, _config.current())
    if reasons:
        steps = tuple((type(codec).__name__, "zarr-python") for codec in pipeline)
    return Explanation(not reasons, name, path, steps, tuple(reasons))


def _chunk_spec(async_array: Any) -> ArraySpec:
    metadata = async_array.metadata
    order: Any = metadata.order if metadata.zarr_format == 2 else "C"
    shape = getattr(metadata, "chunks", None) if metadata.zarr_format == 2 else None
    if shape is None:
        grid = metadata.chunk_grid
        shape = getattr(grid, "chunk_shape", None) or (1,) * len(metadata.shape)
    return ArraySpec(
        shape=shape,
        dtype=metadata.dtype if metadata.zarr_format == 2 else metadata.data_type,
        fill_value=metadata.fill_value,
        config=ArrayConfig(order=order, write_empty_chunks=False),
        prototype=default_buffer_prototype(),
    )
