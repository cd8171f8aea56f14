"""Zarr format 2: compressors, memory orders, separators and byte orders, both ways with zarr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from zarr.abc.store import Store

    ChunksIn = Callable[[Store], dict[str, bytes]]
    Oracle = Callable[[], Any]

SHAPE, CHUNKS = (7, 9, 5), (3, 4, 5)
COMPRESSORS: dict[str, Any] = {
    "none": None,
    "zstd": numcodecs.Zstd(level=3),
    "zstd_checksum": numcodecs.Zstd(level=1, checksum=True),
    "gzip": numcodecs.GZip(level=5),
    "gzip_0": numcodecs.GZip(level=0),
    "zlib": numcodecs.Zlib(level=1),
    "zlib_default": numcodecs.Zlib(),
    "blosc": numcodecs.Blosc(),
    "blosc_zstd_bit": numcodecs.Blosc(cname="zstd", clevel=3, shuffle=numcodecs.Blosc.BITSHUFFLE),
    "blosc_lz4hc": numcodecs.Blosc(cname="lz4hc", shuffle=numcodecs.Blosc.SHUFFLE, blocksize=128),
    "blosc_zlib_none": numcodecs.Blosc(cname="zlib", shuffle=numcodecs.Blosc.NOSHUFFLE),
    "blosc_blosclz_auto": numcodecs.Blosc(cname="blosclz", shuffle=numcodecs.Blosc.AUTOSHUFFLE),
}


def values_of(dtype: str = "int32") -> npt.NDArray[Any]:
    return (np.arange(315) // 2 * 3).astype(dtype).reshape(SHAPE)


def both_ways(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    values: npt.NDArray[Any],
    **options: Any,
) -> None:
    options = {
        "shape": SHAPE,
        "chunks": CHUNKS,
        "dtype": values.dtype,
        "zarr_format": 2,
        "compressors": None,
    } | options
    ours, theirs = make_store(), make_store()
    with oracle():
        zarr.create_array(theirs, **options)[...] = values
    zarr.create_array(ours, **options)[...] = values
    if options["compressors"] is None:
        assert chunks_in(ours) == chunks_in(theirs)
    assert chunks_in(ours).keys() == chunks_in(theirs).keys()
    read = zarr.open_array(theirs, mode="r+")
    whole = read[...]
    np.testing.assert_array_equal(whole, values)
    assert whole.dtype == values.dtype
    np.testing.assert_array_equal(read[1:6, 2:8:3, 4], values[1:6, 2:8:3, 4])
    np.testing.assert_array_equal(read.oindex[[6, 0], [8, 3, 3]], values[[6, 0]][:, [8, 3, 3]])
    np.testing.assert_array_equal(
        read.vindex[[6, 0], [8, 3], [4, 0]], values[[6, 0], [8, 3], [4, 0]]
    )
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(ours, mode="r")[...], values)
    changed = values.copy()
    read[1:6, 2:8] = changed[1:6, 2:8] = values[1:6, 2:8] + values.dtype.type(1)
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(theirs, mode="r")[...], changed)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["uint8", "<i4", ">i4", "<f8"])
@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_every_compressor_both_ways_with_zarr(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    compressor: str,
    dtype: str,
    order: str,
) -> None:
    options = {"compressors": COMPRESSORS[compressor], "order": order}
    both_ways(make_store, oracle, chunks_in, values_of(dtype), **options)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("separator", [".", "/"])
def test_both_separators(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    separator: str,
    order: str,
) -> None:
    encoding = {"name": "v2", "separator": separator}
    both_ways(make_store, oracle, chunks_in, values_of(), order=order, chunk_key_encoding=encoding)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_read_returns_the_arrays_memory_order(store: Store, order: str) -> None:
    array = zarr.create_array(
        store, shape=SHAPE, chunks=CHUNKS, dtype="int32", zarr_format=2, order=order
    )
    array[...] = values_of()
    assert array[...].flags.f_contiguous == (order == "F")
    np.testing.assert_array_equal(array[...], values_of())


def test_an_array_without_dimensions(make_store: Callable[[], Store], oracle: Oracle) -> None:
    for compressor in (None, numcodecs.Zstd()):
        store = make_store()
        array = zarr.create_array(
            store, shape=(), chunks=(), dtype=">f8", zarr_format=2, compressors=compressor
        )
        array[...] = 2.5
        assert array[()] == 2.5
        with oracle():
            assert zarr.open_array(store, mode="r")[()] == 2.5


def put(store: Store, key: str, value: bytes) -> None:
    if isinstance(store, LocalStore):
        (store.root / key).write_bytes(value)
    else:
        store._store_dict[key] = zarr.core.buffer.default_buffer_prototype().buffer.from_bytes(
            value
        )


def single_chunk(store: Store, compressor: Any, value: bytes) -> zarr.Array:
    """An array of one chunk, with the given bytes."""
    array = zarr.create_array(
        store, shape=(64,), chunks=(64,), dtype="<i4", zarr_format=2, compressors=compressor
    )
    put(store, "0", value)
    return array


RAW = np.arange(64, dtype="<i4")


def test_a_gzip_chunk_of_several_members_is_read_whole(store: Store) -> None:
    import gzip

    half = RAW.tobytes()[:100]
    value = gzip.compress(half) + gzip.compress(RAW.tobytes()[100:])
    array = single_chunk(store, numcodecs.GZip(), value)
    np.testing.assert_array_equal(array[...], RAW)
    np.testing.assert_array_equal(array[20:30], RAW[20:30])


def test_a_zstd_chunk_without_a_content_size_is_read(store: Store, oracle: Oracle) -> None:
    # One frame without a content size (not a single segment): window of 1 KiB, one raw last block.
    raw = RAW.tobytes()
    block = ((len(raw) << 3) | 1).to_bytes(3, "little") + raw
    value = bytes.fromhex("28b52ffd") + bytes([0x00, 0x00]) + block
    array = single_chunk(store, numcodecs.Zstd(), value)
    with oracle():
        try:
            expected = zarr.open_array(store, mode="r")[...]
        except Exception as error:
            pytest.skip(f"this numcodecs cannot: {error}")
    np.testing.assert_array_equal(expected, RAW)
    np.testing.assert_array_equal(array[...], RAW)


def test_several_zstd_frames_read_as_zarr_reads_them(store: Store, oracle: Oracle) -> None:
    codec = numcodecs.Zstd()
    halves = (RAW.tobytes()[:128], RAW.tobytes()[128:])
    array = single_chunk(store, codec, b"".join(bytes(codec.encode(half)) for half in halves))
    with oracle():
        try:
            expected = zarr.open_array(store, mode="r")[...]
        except Exception as error:
            pytest.skip(f"this numcodecs cannot: {error}")
    np.testing.assert_array_equal(array[...], expected)


@pytest.mark.parametrize("name", ["zstd", "gzip", "zlib", "blosc"])
def test_a_compressor_in_place_of_a_filter_is_applied_first(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, name: str
) -> None:
    options = {"compressors": COMPRESSORS["zstd"], "filters": [COMPRESSORS[name]]}
    with zarr.config.set({"codec_pipeline.strict": False}):
        both_ways(make_store, oracle, chunks_in, values_of(), **options)
