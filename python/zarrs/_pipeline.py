"""The pipeline that zarr-python calls: native where the engine can, zarr's own where it cannot."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from zarr.abc.codec import CodecPipeline
from zarr.codecs import ShardingCodec
from zarr.codecs._v2 import V2Codec
from zarr.core.codec_pipeline import codecs_from_list
from zarr.core.metadata.v2 import ArrayV2Metadata
from zarr.storage._common import StorePath

from zarrs import _config, _drive, _fallback
from zarrs._array import Arrays
from zarrs._chunk_format import ChunkFormats
from zarrs._codecs import data_types, evolve, split, vlen
from zarrs._stores.routes import Routes, Way, tell_refused_direct_io
from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from zarr.abc.codec import Codec
    from zarr.abc.store import ByteGetter, ByteSetter, Store
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer
    from zarr.core.indexing import SelectorTuple
    from zarr.core.metadata import ArrayMetadata

    from zarrs import _internal
    from zarrs._array import Array, Started
    from zarrs._config import Configuration

    Item = tuple[Any, ArraySpec, SelectorTuple, SelectorTuple, bool]

counters = _fallback.counters

_last_options: tuple[Configuration, _internal.Options] | None = None


class ZarrsCodecPipeline(CodecPipeline):
    """A codec pipeline that reads and writes batches of chunks in Rust.

    Users do not make one; zarr-python does, after
    ``zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})``.
    """

    _codecs: tuple[Codec, ...]

    def __init__(self, codecs: Iterable[Codec]) -> None:
        self._codecs = tuple(codecs)
        self._forget()

    def _forget(self) -> None:
        self._formats = ChunkFormats(self._codecs)
        self._routes = Routes()
        self._arrays = Arrays()
        self._own: CodecPipeline | None = None

    @classmethod
    def from_codecs(cls, codecs: Iterable[Codec]) -> Self:
        """A pipeline of `codecs`, in encoding order."""
        arrays, serializer, steps = split(codecs)
        return cls((*arrays, serializer, *steps))

    @classmethod
    def from_array_metadata_and_store(cls, array_metadata: ArrayMetadata, store: Store) -> Self:
        """The pipeline of an array. No I/O; shape and fill value are taken from each call's chunks instead."""
        if isinstance(array_metadata, ArrayV2Metadata):
            codecs: tuple[Any, ...] = (
                V2Codec(filters=array_metadata.filters, compressor=array_metadata.compressor),
            )
        else:
            codecs = tuple(array_metadata.codecs)
            # Gives zarr's advice on codec combinations, once.
            codecs_from_list(codecs)
        return cls(codecs)

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Self:
        """The same pipeline with its codecs adapted to `array_spec`."""
        return type(self)(evolve(self._codecs, array_spec))

    # -- what zarr asks about the codecs ---------------------------------------------------------------------------

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """The codecs, in encoding order."""
        return self._codecs

    @property
    def array_array_codecs(self) -> tuple[Any, ...]:
        """The array-to-array codecs."""
        return split(self._codecs)[0]

    @property
    def array_bytes_codec(self) -> Any:
        """The array-to-bytes codec."""
        return split(self._codecs)[1]

    @property
    def bytes_bytes_codecs(self) -> tuple[Any, ...]:
        """The bytes-to-bytes codecs."""
        return split(self._codecs)[2]

    def __iter__(self) -> Iterator[Codec]:
        return iter(self._codecs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ZarrsCodecPipeline):
            return NotImplemented
        return self._codecs == other._codecs

    def __hash__(self) -> int:
        return hash((type(self), self._codecs))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(codecs={self._codecs!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"codecs": self._codecs}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._codecs = state["codecs"]
        self._forget()

    @property
    def supports_partial_decode(self) -> bool:
        """Whether parts of a chunk are read by themselves: for a lone sharding codec."""
        return len(self._codecs) == 1 and isinstance(self._codecs[0], ShardingCodec)

    @property
    def supports_partial_encode(self) -> bool:
        """Whether parts of a chunk are written by themselves: for a lone sharding codec."""
        return self.supports_partial_decode

    def validate(self, *, shape: Any, dtype: Any, chunk_grid: Any) -> None:
        """Raises if a codec does not fit an array of this shape, data type and chunk grid."""
        for codec in self._codecs:
            codec.validate(shape=shape, dtype=dtype, chunk_grid=chunk_grid)

    def compute_encoded_size(self, byte_length: int, array_spec: ArraySpec) -> int:
        """Encoded size in bytes of `byte_length` decoded bytes; NotImplementedError for compressors."""
        for codec in self._codecs:
            byte_length = codec.compute_encoded_size(byte_length, array_spec)
            array_spec = codec.resolve_metadata(array_spec)
        return byte_length

    # -- zarr's own pipeline ---------------------------------------------------------------------------------------

    def _zarr_pipeline(self, spec: ArraySpec | None) -> CodecPipeline:
        own = self._own
        if own is None:
            own = self._own = _fallback.pipeline(self._codecs, spec)
        return own

    async def decode(
        self, chunk_bytes_and_specs: Iterable[tuple[Buffer | None, ArraySpec]]
    ) -> Iterable[NDBuffer | None]:
        """Decodes buffers that zarr holds already: its own sharding codec does this with index and subchunks."""
        batch = list(chunk_bytes_and_specs)
        return await self._zarr_pipeline(batch[0][1] if batch else None).decode(batch)

    async def encode(
        self, chunk_arrays_and_specs: Iterable[tuple[NDBuffer | None, ArraySpec]]
    ) -> Iterable[Buffer | None]:
        """Encodes arrays for zarr's own sharding codec."""
        batch = list(chunk_arrays_and_specs)
        return await self._zarr_pipeline(batch[0][1] if batch else None).encode(batch)

    # -- read and write --------------------------------------------------------------------------------------------

    async def read(
        self,
        batch_info: Iterable[tuple[ByteGetter, ArraySpec, SelectorTuple, SelectorTuple, bool]],
        out: NDBuffer,
        drop_axes: tuple[int, ...] = (),
    ) -> tuple[Any, ...]:
        """Reads chunks into `out`; one result for each item of the batch, in order."""
        batch: list[Item] = batch_info if type(batch_info) is list else list(batch_info)
        if not batch:
            return ()
        getter, spec = batch[0][0], batch[0][1]
        if type(getter) is not StorePath:
            # Subchunks of zarr's own sharding codec.
            return await self._zarr_pipeline(spec).read(batch, out, drop_axes)
        configuration = _config.current()
        try:
            options = _options(configuration)
            format = self._formats.get(spec)
            store = getter.store
            route = self._routes.find(store, getter.path, spec.prototype, configuration)
            array = _plain_array(out)
            if (route.handle or route.files_behind) is not None and not store._is_open:
                await store._ensure_open()
            started = None
            if route.files_behind is not None:
                files = self._arrays.get(format, route.files_behind, options)
                started = await _read_files(files, batch, array, drop_axes)
            if started is None:
                native = self._arrays.get(format, route.handle, options)
                started = native.read(batch, array, drop_axes)
        except UnsupportedError as reason:
            if configuration.strict:
                raise
            _fallback.record(reason, configuration)
            return await self._zarr_pipeline(spec).read(batch, out, drop_axes)
        target, results, call = started
        if call is not None:
            results = await _drive.finish(call, route, store, spec.prototype, configuration)
        if target is not array:
            for item in batch:
                out[item[3]] = target[item[3]]
        counters["rust"] += 1
        if configuration.direct_io and route.way is Way.FILES:
            tell_refused_direct_io(route.handle)  # type: ignore[arg-type]
        return cast("tuple[Any, ...]", results)

    async def write(
        self,
        batch_info: Iterable[tuple[ByteSetter, ArraySpec, SelectorTuple, SelectorTuple, bool]],
        value: NDBuffer,
        drop_axes: tuple[int, ...] = (),
    ) -> None:
        """Writes `value` to chunks, merged with what they hold where they are not covered."""
        batch: list[Item] = batch_info if type(batch_info) is list else list(batch_info)
        if not batch:
            return
        setter, spec = batch[0][0], batch[0][1]
        if type(setter) is not StorePath:
            await self._zarr_pipeline(spec).write(batch, value, drop_axes)
            return
        configuration = _config.current()
        try:
            options = _options(configuration)
            format = self._formats.get(spec)
            store = setter.store
            route = self._routes.find(store, setter.path, spec.prototype, configuration)
            value_array = np.asarray(_plain_array(value))
            if route.handle is not None and not store._is_open:
                await store._ensure_open()
            store._check_writable()
            try:
                format.swap_to(value_array.dtype)
            except data_types.IncompatibleDtype:
                value_array = value_array.astype(format.dtype)
            if len(batch) == 1 and (value_array.shape != () or format.dtype.kind == "O"):
                _check_single_element(batch[0], value_array, format.dtype)
            array = self._arrays.get(format, route.handle, options)
            try:
                call = array.write(batch, value_array, drop_axes)
            except UnsupportedError:
                stored = vlen.without_missing(value_array, batch, self._codecs)
                if stored is None:
                    raise
                call = array.write(batch, stored, drop_axes)
        except UnsupportedError as reason:
            if configuration.strict:
                raise
            _fallback.record(reason, configuration)
            await self._zarr_pipeline(spec).write(batch, value, drop_axes)
            return
        if call is not None:
            await _drive.finish(call, route, store, spec.prototype, configuration, is_write=True)
        counters["rust"] += 1


async def _read_files(
    files: Array, batch: list[Item], array: np.ndarray[Any, Any], drop_axes: tuple[int, ...]
) -> Started | None:
    """Reads `batch` from the files that another library's store keeps; None if that fails: the store has its own error."""
    try:
        target, results, call = files.read(batch, array, drop_axes)
        if call is not None:
            await _drive.ended(call)
            results = call.result()
    except UnsupportedError:
        raise
    except Exception:
        return None
    return target, results, None


def _plain_array(buffer: NDBuffer) -> np.ndarray[Any, Any]:
    array = buffer.as_ndarray_like()
    if not isinstance(array, np.ndarray):
        kind = type(array)
        raise UnsupportedError(
            f"buffer {kind.__module__}.{kind.__qualname__}",
            "it is not a NumPy array in main memory",
        )
    return array


def _check_single_element(item: Item, array: np.ndarray[Any, Any], dtype: Any) -> None:
    """Raises or warns as NumPy does where an array is assigned to one element: that depends on data type and release."""
    _, spec, chunk_selection, out_selection, is_complete = item
    if type(chunk_selection) is not tuple or not all(
        isinstance(entry, int | np.integer) for entry in chunk_selection
    ):
        return
    selected = array[out_selection] if chunk_selection else array
    if not (is_complete and array.shape != () and selected.shape == spec.shape):
        if vlen.is_text(spec.dtype):
            vlen.refuse_single_element()
        np.empty((), dtype)[()] = selected


def _options(configuration: Configuration) -> _internal.Options:
    """The options of a call. The native module is loaded here, at first use, so that importing this package cannot fail."""
    global _last_options
    known = _last_options
    if known is not None and known[0] is configuration:
        return known[1]
    from zarrs import _internal

    if known is None:
        atexit.register(_internal.shutdown)
    options = _internal.Options(
        threads=configuration.max_workers or _internal.cpus(),
        chunk_concurrent_maximum=configuration.chunk_concurrent_maximum,
        validate_checksums=configuration.validate_checksums,
    )
    _last_options = (configuration, options)
    return options
