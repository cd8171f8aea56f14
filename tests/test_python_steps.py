"""Python codecs as steps of a native chain: the same results, bytes and errors as under zarr's own pipeline.

The codecs are in support/python_codecs.py. Forks, exits and cancellation run in separate Python processes, as in test_processes.py.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import pickle
import subprocess
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import numcodecs
import numcodecs.abc
import numpy as np
import pytest
import zarr
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    ShardingCodec,
    TransposeCodec,
    ZstdCodec,
)
from zarr.storage import MemoryStore, ObjectStore

import zarrs
from support import python_codecs as py
from support.processes import ENVIRONMENT, PRELUDE, TIME_LIMIT, posix, run
from zarrs import _fallback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3"),
    pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec disables"),
]

DATA = np.arange(1, 121, dtype="int32").reshape(12, 10)
# numcodecs reads a size below one as no size; such a configuration runs as a Python step.
ODD = {"name": "numcodecs.shuffle", "configuration": {"elementsize": 0.5}}
PLUS, TURN = py.Plus(), TransposeCodec(order=(1, 0))


class PythonFilter(numcodecs.abc.Codec):
    """A filter of format 2 for chunks of rank two, which depends on their shape and order."""

    codec_id = "own_filter"

    def encode(self, buf: Any) -> Any:
        array = np.asarray(buf)
        assert array.ndim == 2
        assert array.flags.c_contiguous or array.flags.f_contiguous
        return (array + array.shape[0]).astype("int64", order="A")

    def decode(self, buf: Any, out: Any = None) -> Any:
        array = np.frombuffer(buf, dtype="int64")
        return (array - 4).astype("int32")

    def get_config(self) -> dict[str, Any]:
        return {"id": self.codec_id}


class BytesOnly(PythonFilter):
    """Requires bytes if a compressor follows, as numcodecs' own compressors return them."""

    codec_id = "own_bytes_only"

    def encode(self, buf: Any) -> Any:
        return b"head" + np.asarray(buf).tobytes()

    def decode(self, buf: Any, out: Any = None) -> Any:
        assert buf.startswith(b"head")
        return buf[4:]


class PythonDelta(numcodecs.Delta):
    """numcodecs' own codec under a name without a native step."""

    codec_id = "own_delta"


class PythonLZMA(numcodecs.LZMA):
    codec_id = "own_lzma"


for one in (PythonDelta, PythonLZMA):
    numcodecs.register_codec(one)
numcodecs.register_codec(PythonFilter)
numcodecs.register_codec(BytesOnly)

V2: dict[str, Any] = {"zarr_format": 2}
D2 = PythonDelta(dtype="<i4")
CHAINS: dict[str, dict[str, Any]] = {
    "bytes": {"compressors": py.Invert()},
    "bytes_async": {"compressors": py.AsyncInvert()},
    "bytes_straight": {"compressors": py.StraightInvert()},
    "bytes_batch": {"compressors": py.BatchInvert()},
    "bytes_before_native": {"compressors": [py.Invert(), ZstdCodec(level=1), Crc32cCodec()]},
    "bytes_after_native": {"compressors": [ZstdCodec(level=1), py.AsyncInvert()]},
    "bytes_between": {"compressors": [py.Invert(), BloscCodec(), py.Invert(), Crc32cCodec()]},
    "array": {"filters": PLUS, "compressors": None},
    "array_async": {"filters": py.AsyncPlus(), "compressors": ZstdCodec(level=1)},
    "array_after_transpose": {"filters": [TURN, PLUS], "compressors": ZstdCodec(level=1)},
    "array_before_transpose": {"filters": [PLUS, TURN], "compressors": ZstdCodec(level=1)},
    "arrays_around_transpose": {"filters": [TURN, PLUS, TURN, py.Plus({"number": 7})]},
    "array_of_another_type": {"filters": py.Widen(), "compressors": ZstdCodec(level=1)},
    "array_big_endian": {"filters": PLUS, "serializer": BytesCodec(endian="big")},
    "array_and_bytes": {"filters": PLUS, "compressors": [py.Invert(), ZstdCodec(), py.Invert()]},
    "serializer": {"serializer": py.Numbers(), "compressors": None},
    "serializer_async": {"serializer": py.AsyncNumbers(), "compressors": None},
    "serializer_between": {
        "filters": [TURN, PLUS],
        "serializer": py.Numbers(),
        "compressors": [py.Invert(), ZstdCodec()],
    },
    "subclass": {"compressors": py.InvertedGzip(level=1)},
    "numcodecs": {"compressors": ODD},
    "shards": {"shards": (12, 10), "compressors": [py.Invert(), Crc32cCodec()]},
    "shards_async": {"shards": (8, 5), "compressors": py.AsyncInvert()},
    "shards_array": {"shards": (8, 10), "filters": [PLUS, TURN], "compressors": py.InvertedGzip()},
    "shards_serializer": {"shards": (8, 10), "serializer": py.Numbers(), "compressors": None},
    "shards_inside": {
        "chunks": (8, 10),
        "serializer": ShardingCodec(chunk_shape=(4, 5), codecs=[BytesCodec(), py.Invert()]),
        "compressors": [py.Invert()],
    },
    "v2_compressor": {**V2, "compressors": PythonLZMA()},
    "v2_compressor_f": {**V2, "compressors": PythonLZMA(), "order": "F"},
    "v2_filters": {**V2, "filters": [D2], "compressors": None},
    "v2_filters_f": {**V2, "filters": [D2], "compressors": None, "order": "F"},
    "v2_filters_zstd": {**V2, "filters": [D2], "compressors": numcodecs.Zstd(level=1)},
    "v2_filters_blosc": {**V2, "filters": [D2], "compressors": numcodecs.Blosc()},
    "v2_filters_lzma": {**V2, "filters": [D2], "compressors": PythonLZMA()},
    "v2_filter": {**V2, "filters": [PythonFilter()], "compressors": numcodecs.Zlib()},
    "v2_filter_f": {
        **V2,
        "filters": [PythonFilter()],
        "compressors": numcodecs.Blosc(),
        "order": "F",
    },
    "v2_bytes": {**V2, "filters": [BytesOnly()], "compressors": numcodecs.GZip()},
    "v2_big_endian": {
        **V2,
        "filters": [PythonDelta(dtype=">i4")],
        "compressors": PythonLZMA(),
        "dtype": ">i4",
    },
}


def create(store: Any, **options: Any) -> zarr.Array[Any]:
    more = {"shape": (12, 10), "chunks": (4, 5), "dtype": "int32", "fill_value": 0, **options}
    return zarr.create_array(store, **more)


def executors_of(array: zarr.Array[Any]) -> set[str]:
    return {where for _, where in zarrs.explain(array).steps}


@pytest.fixture(autouse=True)
def nothing_seen() -> Iterator[None]:
    py.seen.clear()
    yield
    py.seen.clear()


@pytest.fixture(params=CHAINS)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return CHAINS[request.param]


def change(array: zarr.Array[Any], expected: Any) -> None:
    """Whole, partial and scattered writes, to `array` and to `expected`."""
    for target in (array, expected):
        target[:] = DATA
        target[2:7, 3] = 9
        target[11, 9] = 5
        target[8:12] = DATA[:4]
    array.oindex[[1, 5, 6], 2:4] = 77
    expected[[1, 5, 6], 2:4] = 77
    array.vindex[[0, 9], [0, 9]] = [4, 3]
    expected[[0, 9], [0, 9]] = [4, 3]
    # One chunk becomes empty.
    array[4:8, 5:] = expected[4:8, 5:] = 0


def check(array: zarr.Array[Any], expected: Any) -> None:
    np.testing.assert_array_equal(array[:], expected)
    np.testing.assert_array_equal(array[1:9, 3:8:2], expected[1:9, 3:8:2])
    np.testing.assert_array_equal(array[5], expected[5])
    np.testing.assert_array_equal(array.oindex[[3, 0, 3]], expected[[3, 0, 3]])
    np.testing.assert_array_equal(array.vindex[[3, 11], [1, 9]], expected[[3, 11], [1, 9]])
    assert array[11, 9] == expected[11, 9]


# -- results and bytes ------------------------------------------------------------------------------


def test_results_and_stored_bytes_are_those_of_zarrs_own_pipeline(
    make_store, oracle, chunks_in, options
) -> None:
    if options is CHAINS["shards_inside"] and not py.SYNC:
        pytest.skip("zarr itself cannot write empty subchunks there")
    ours, theirs = make_store(), make_store()
    rust = _fallback.counters["rust"]
    expected = np.zeros_like(DATA)
    array = create(ours, **options)
    np.testing.assert_array_equal(array[:], expected)
    change(array, expected)
    check(array, expected)
    check(zarr.open_array(ours), expected)
    assert _fallback.counters["rust"] > rust
    with oracle():
        other = create(theirs, **options)
        change(other, np.zeros_like(DATA))
        check(zarr.open_array(ours), expected)
    ours_bytes, theirs_bytes = chunks_in(ours), chunks_in(theirs)
    assert ours_bytes.keys() == theirs_bytes.keys()
    # Rust uses another deflate library, and gzip stores the time.
    if not any(word in str(options).lower() for word in ("gzip", "zlib")):
        assert ours_bytes == theirs_bytes
    check(zarr.open_array(theirs), expected)


def test_explain_says_which_steps_are_python(make_store, options) -> None:
    explanation = zarrs.explain(create(make_store(), **options))
    assert explanation.native
    assert explanation.reasons == ()
    assert "Python" in {where for _, where in explanation.steps}
    assert "zarr-python" not in {where for _, where in explanation.steps}


def test_explain_names_each_step() -> None:
    def steps(**options: Any) -> list[tuple[str, str]]:
        return list(zarrs.explain(create({}, **options)).steps)

    assert steps(filters=[TURN, PLUS], compressors=[py.Invert(), ZstdCodec()]) == [
        ("TransposeCodec", "Rust"),
        ("Plus", "Python"),
        ("BytesCodec", "Python"),
        ("Invert", "Python"),
        ("ZstdCodec", "Rust"),
    ]
    assert steps(**CHAINS["shards"]) == [("ShardingCodec", "Rust"), ("Invert", "Python")]
    assert steps(**CHAINS["v2_filters_zstd"]) == [("PythonDelta", "Python"), ("Zstd", "Rust")]


@pytest.mark.parametrize("outer", [None, py.Invert(), ZstdCodec()], ids=str)
@pytest.mark.parametrize(
    "filters",
    [
        [PLUS],
        [TURN, py.AsyncPlus()],
        [py.Widen(), TURN],
        [
            {
                "name": "numcodecs.astype",
                "configuration": {"encode_dtype": "<i8", "decode_dtype": "<i4"},
            }
        ],
    ],
    ids=str,
)
def test_shards_behind_python_array_codecs_are_a_python_step(
    make_store, oracle, chunks_in, filters, outer
) -> None:
    shards = ShardingCodec(chunk_shape=(4, 5), codecs=[BytesCodec(), Crc32cCodec()])
    options = {"chunks": (12, 10), "filters": filters, "serializer": shards, "compressors": outer}
    ours, theirs = make_store(), make_store()
    array = create(ours, **options)
    assert ("ShardingCodec", "Python") in zarrs.explain(array).steps
    with oracle():
        reference = create(theirs, **options)
        reference[:] = DATA
        reference[3:6, 2:7] = 9
        expected = reference[:]
    array[:] = DATA
    array[3:6, 2:7] = 9
    assert chunks_in(ours) == chunks_in(theirs)
    np.testing.assert_array_equal(array[:], expected)
    np.testing.assert_array_equal(array[2:9:3, 4], expected[2:9:3, 4])
    array[:] = 0
    assert chunks_in(ours) == {}


@pytest.mark.parametrize("chunks", [(4, 5), (12, 10)], ids=["alone", "inside"])
@pytest.mark.parametrize("name", ["bytes", "crc32c", "own"])
def test_shards_with_a_python_codec_in_the_index_are_a_python_step(
    make_store, oracle, chunks_in, name, chunks
) -> None:
    index: Any = [BytesCodec(), Crc32cCodec()]
    if name == "bytes":
        index[0] = py.IndexBytes()
    else:
        index[1] = py.IndexCrc32c() if name == "crc32c" else py.SameLength()
    shards = ShardingCodec(chunk_shape=(4, 5), codecs=[BytesCodec()], index_codecs=index)
    if chunks == (12, 10):
        shards = ShardingCodec(chunk_shape=(12, 10), codecs=[shards])
    options = {"chunks": (12, 10), "serializer": shards, "compressors": None}
    ours, theirs = make_store(), make_store()
    array = create(ours, **options)
    assert ("ShardingCodec", "Python") in zarrs.explain(array).steps
    expected = np.zeros_like(DATA)
    np.testing.assert_array_equal(array[:], expected)
    change(array, expected)
    check(array, expected)
    with oracle():
        reference = create(theirs, **options)
        change(reference, np.zeros_like(DATA))
        check(zarr.open_array(ours), expected)
    assert chunks_in(ours).keys() == chunks_in(theirs).keys()
    check(zarr.open_array(theirs), expected)


def test_a_codec_with_partial_decoding_falls_back() -> None:
    class PythonSharding(ShardingCodec):
        pass

    shards = PythonSharding(chunk_shape=(4, 5), codecs=[BytesCodec()])
    array = create({}, chunks=(12, 10), serializer=shards, compressors=None)
    with pytest.raises(zarrs.UnsupportedError, match="parts of chunks"):
        array[:]


@pytest.mark.skipif(
    zarr.config.get("array.rectilinear_chunks", None) is None, reason="came with zarr 3.2"
)
def test_chunks_of_several_shapes_are_refused_and_one_shape_is_not() -> None:
    with zarr.config.set({"array.rectilinear_chunks": True}):
        array = create({}, chunks=((4, 8), (5, 5)), filters=PLUS)
        for part in (np.s_[:4], np.s_[4:]):
            array[part] = DATA[part]
            np.testing.assert_array_equal(array[part], DATA[part])
        for action in (lambda: array[:], lambda: array.__setitem__(slice(None), DATA)):
            with pytest.raises(zarrs.UnsupportedError, match="differ in shape"):
                action()
        with zarr.config.set({"codec_pipeline.strict": False}):
            array[:] = DATA + 1
            np.testing.assert_array_equal(array[:], DATA + 1)


@pytest.mark.skipif(not hasattr(zarr.Array, "with_config"), reason="came with zarr 3.1.2")
def test_the_chunks_configuration_reaches_the_codec() -> None:
    class Config(py.Invert):
        def _encode_sync(self, data: Any, spec: Any) -> Any:
            py.seen.append(spec.config.write_empty_chunks)
            return super()._encode_sync(data, spec)

    array = create({}, compressors=Config())
    array[0, 0] = 1
    array.with_config({"write_empty_chunks": True})[0, 0] = 1
    assert py.seen[0] is False
    assert True in py.seen


def test_an_encoded_form_many_times_as_long_is_read() -> None:
    array = create(
        {},
        shape=1 << 17,
        chunks=1 << 17,
        dtype="int16",
        filters=py.Widen(),
        compressors=[py.Invert(), ZstdCodec(level=-5)],
    )
    values = np.random.default_rng(0).integers(-1 << 15, 1 << 15, 1 << 17, "int16")
    array[:] = values
    np.testing.assert_array_equal(array[:], values)


@pytest.mark.parametrize("outer", [ZstdCodec(), GzipCodec(), BloscCodec(typesize=1)])
@pytest.mark.parametrize("shards", [None, (64,)])
def test_an_encoded_form_a_million_times_as_long_is_read(oracle, outer, shards) -> None:
    codecs = [py.Longer({"zeros": 100_000_000}), outer]
    store = MemoryStore()
    array = create(store, shape=(64,), chunks=(64,), dtype="f8", shards=shards, compressors=codecs)
    values = np.arange(64.0)
    array[:] = values
    np.testing.assert_array_equal(zarr.open_array(store, mode="r")[:], values)
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(store, mode="r")[:], values)


def test_a_shard_of_longer_subchunks_is_read_through_a_compressor(oracle) -> None:
    inner = [BytesCodec(), py.Longer({"zeros": 10_000_000})]
    serializer = ShardingCodec(chunk_shape=(32,), codecs=inner)
    store = MemoryStore()
    options: dict[str, Any] = {"shape": 64, "chunks": 64, "dtype": "f8", "serializer": serializer}
    values = np.arange(64.0)
    with oracle():
        zarr.create_array(store, compressors=ZstdCodec(), **options)[:] = values
    np.testing.assert_array_equal(zarr.open_array(store, mode="r")[:], values)


# -- how codecs are called --------------------------------------------------------------------------


@pytest.mark.skipif(not py.SYNC, reason="this zarr knows coroutines only")
def test_a_codec_runs_on_the_pool_in_the_callers_context() -> None:
    array = create({}, compressors=py.Invert())
    py.word.set("mine")
    try:
        array[:] = DATA
        np.testing.assert_array_equal(array[:], DATA)
    finally:
        py.word.set("none")
    assert len(py.seen) == 12
    assert all(thread.startswith("Dummy-") for _, thread, _, _ in py.seen)
    assert {word for _, _, word, _ in py.seen} == {"mine"}


def test_an_async_codec_runs_on_the_callers_event_loop_in_its_context() -> None:
    array = create({}, compressors=py.AsyncInvert())

    async def main() -> Any:
        py.word.set("loop")
        await array._async_array.setitem(slice(None), DATA)
        return await array._async_array.getitem(slice(None))

    np.testing.assert_array_equal(asyncio.run(main()), DATA)
    main_thread = threading.main_thread().name
    assert {(thread, word) for _, thread, word, _ in py.seen} == {(main_thread, "loop")}


def test_inputs_that_a_codec_keeps_do_not_change() -> None:
    array = create({}, compressors=py.Invert())
    array[:] = DATA
    inputs = [(kept, kept.copy()) for *_, kept in py.seen]
    array[:] = DATA + 1
    array[:]
    for kept, copy in inputs:
        np.testing.assert_array_equal(kept, copy)


def test_suspended_codecs_overlap() -> None:
    store: dict[str, Any] = {}
    create(store, chunks=(4, 1), compressors=py.AsyncInvert())[:] = DATA
    array = create(
        store, chunks=(4, 1), compressors=py.AsyncInvert({"seconds": 0.05}), overwrite=True
    )
    array[:] = DATA
    with zarr.config.set({"codec_pipeline.max_workers": 1}):
        started = time.monotonic()
        array[:]
        took = time.monotonic() - started
    # Thirty chunks in sequence would take a second and a half.
    assert took < 1


def test_a_codec_may_read_another_array() -> None:
    table = zarr.create_array({}, shape=(64, 4096), chunks=(1, 4096), dtype="int32")
    table[:] = 1

    class Lookup(py.Plus):
        def _step(self, spec: Any) -> Any:
            return table[:].sum() // table.size

    class AsyncLookup(py.Named, py.ArrayArrayCodec):
        async def _encode_single(self, array: Any, spec: Any) -> Any:
            await table._async_array.getitem(slice(None))
            return array

        _decode_single = _encode_single

    for codec in (Lookup(), AsyncLookup()):
        array = create({}, filters=codec)
        array[:] = DATA
        np.testing.assert_array_equal(array[:], DATA)


def test_a_class_registered_over_a_built_in_is_called(monkeypatch) -> None:
    class Renamed(py.InvertedGzip):
        calls = 0

        async def _decode_single(self, *arguments: Any) -> Any:
            Renamed.calls += 1
            return await super()._decode_single(*arguments)

    from zarr.registry import register_codec

    store: dict[str, Any] = {}
    create(store, compressors=GzipCodec())
    register_codec("gzip", Renamed)
    name = f"{Renamed.__module__}.{Renamed.__qualname__}"
    with zarr.config.set({"codecs.gzip": name}):
        array = zarr.open_array(store)
        assert executors_of(array) == {"Rust", "Python"}
        array[:] = DATA
        np.testing.assert_array_equal(array[:], DATA)
    assert Renamed.calls == 6


def test_pickles_of_format_2_stay_behind_their_gate() -> None:
    array = create({}, filters=[numcodecs.Pickle()], **V2)
    if not hasattr(zarr.errors, "PickleCodecDisabledError"):
        pytest.skip("came with zarr 3.4")
    assert executors_of(array) == {"Rust", "Python"}
    array[:4] = DATA[:4]
    with pytest.raises(zarr.errors.PickleCodecDisabledError):
        array[:]


# -- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [None, (12, 10)], ids=["plain", "sharded"])
@pytest.mark.parametrize("kind", [py.Faulty, py.AsyncFaulty])
@pytest.mark.parametrize("what", ["raise", "shorter", "half", "longer", "bytes", "nothing"])
@pytest.mark.parametrize("direction", ["decode", "encode"])
def test_errors_have_zarrs_class(oracle, kind, what, direction, shards) -> None:
    def attempt() -> Any:
        store: dict[str, Any] = {}
        array = create(store, compressors=kind({direction: what}), shards=shards)
        try:
            array[:] = DATA
            return array[:].tolist()
        except Exception as error:
            return error

    if (what, direction) == ("bytes", "decode") and not py.SYNC:
        pytest.skip("an assertion of older releases")
    with oracle():
        theirs = attempt()
    ours = attempt()
    if isinstance(theirs, Exception):
        assert type(ours) is type(theirs), (ours, theirs)
        if what == "raise":
            assert ours.args == ("no",)
            assert any("chunk c/0" in note for note in ours.__notes__)
    else:
        assert ours == theirs


@pytest.mark.parametrize("shards", [None, (12, 10)])
def test_a_chunk_encoded_to_none_is_not_stored(chunks_in, shards) -> None:
    store = MemoryStore()
    create(store, compressors=py.Faulty(), shards=shards)[:] = DATA
    assert chunks_in(store)
    array = create(
        store, compressors=py.Faulty({"encode": "nothing"}), shards=shards, overwrite=True
    )
    array[:] = DATA
    assert chunks_in(store) == {}
    assert (array[:] == 0).all()


@pytest.mark.parametrize("chunks", [(4, 5), (12, 10)])
@pytest.mark.parametrize("shards", [None, (12, 10)])
@pytest.mark.parametrize("kind", [py.Faulty, py.AsyncFaulty])
def test_a_chunk_decoded_to_none_counts_as_missing(chunks_in, chunks, shards, kind) -> None:
    store = MemoryStore()
    codec = kind({"decode": "nothing"})
    array = create(store, compressors=codec, chunks=chunks, shards=shards, fill_value=7)
    array[:] = DATA
    for part in (np.s_[:], np.s_[2:9, 3], np.s_[5]):
        assert (array[part] == 7).all()
    # A partial write merges into the fill value.
    codec.options.clear()
    array[:] = DATA
    codec.options["decode"] = "nothing"
    array[3, 3:5] = 1
    codec.options.clear()
    assert (array[3, 3:5] == 1).all()
    assert array[0, 0] == 7


@pytest.mark.parametrize("shape", [(5, 5), (2, 5), (20,), (4, 5, 1), (1, 1), (1, 5), (4, 1)])
def test_a_decoded_array_of_another_shape_is_treated_as_by_zarr(oracle, shape) -> None:
    class Reshaped(py.Plus):
        def _decode_sync(self, array: Any, spec: Any) -> Any:
            values = super()._decode_sync(array, spec).as_numpy_array()
            return spec.prototype.nd_buffer.from_numpy_array(np.resize(values, shape))

    def attempt() -> Any:
        array = create({}, filters=Reshaped(), compressors=None)
        array[:] = DATA
        try:
            return array[:].tolist()
        except Exception as error:
            return type(error)

    ours = attempt()
    with oracle():
        assert ours == attempt()


# Results that are no buffer of the required kind.
TYPES: dict[str, Any] = {
    "bytes": lambda data, spec: data.as_numpy_array().tobytes(),
    "str": lambda data, spec: "text",
    "list": lambda data, spec: [1, 2],
    "ndarray": lambda data, spec: data.as_numpy_array(),
    "NDBuffer": lambda data, spec: spec.prototype.nd_buffer(data.as_numpy_array()),
    "Buffer": lambda data, spec: spec.prototype.buffer.from_bytes(data.as_numpy_array().tobytes()),
}


@pytest.mark.parametrize("shards", [None, (12, 10)], ids=["plain", "sharded"])
@pytest.mark.parametrize("after", [None, ZstdCodec(), Crc32cCodec()], ids=str)
@pytest.mark.parametrize("kind", ["array", "turned", "bytes"])
@pytest.mark.parametrize("direction", ["decode", "encode"])
@pytest.mark.parametrize("name", TYPES)
def test_a_codecs_result_is_accepted_or_refused_as_by_zarr(
    oracle, name, direction, kind, after, shards
) -> None:
    same = py.Invert if kind == "bytes" else py.Plus

    class Odd(same):  # type: ignore[misc, valid-type]
        def _encode_sync(self, data: Any, spec: Any) -> Any:
            return TYPES[name](data, spec) if direction == "encode" else data

        def _decode_sync(self, data: Any, spec: Any) -> Any:
            return TYPES[name](data, spec) if direction == "decode" else data

    def attempt() -> Any:
        steps = [] if after is None else [after]
        chain = {"filters": [TURN, Odd()] if kind == "turned" else Odd(), "compressors": steps}
        if kind == "bytes":
            chain = {"compressors": [Odd(), *steps]}
        array = create({}, shards=shards, **chain)
        results: list[Any] = []
        for action in (
            lambda: array.__setitem__(slice(None), DATA),
            lambda: array[:].tolist(),
            lambda: array[1:9, 3:8:2].tolist(),
        ):
            try:
                results.append(action())
            except Exception as error:
                results.append(type(error))
        return results

    with oracle():
        expected = attempt()
    assert attempt() == expected


def test_a_failure_leaves_the_process_usable() -> None:
    faulty = create({}, compressors=py.Faulty({"decode": "raise"}))
    array = create({}, compressors=py.AsyncInvert())
    faulty[:] = DATA
    array[:] = DATA
    for _ in range(20):
        with pytest.raises(py.CodecError):
            faulty[:]
        np.testing.assert_array_equal(array[:], DATA)


# -- threads, processes, exits ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bytes_before_native", "bytes_async", "array", "v2_filter"])
def test_many_threads_at_once(make_store, name) -> None:
    array = create(make_store(), **CHAINS[name])
    array[:] = DATA
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        for result in threads.map(lambda _: array[:], range(200)):
            np.testing.assert_array_equal(result, DATA)


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_dask_reads_and_writes(make_store, scheduler) -> None:
    dask_array = pytest.importorskip("dask.array")
    array = create(make_store(), **CHAINS["serializer_between"])
    lazy = dask_array.from_array(DATA, chunks=(4, 5))
    lazy.store(array, lock=False, scheduler=scheduler)
    back = dask_array.from_array(array, chunks=(4, 5)).compute(scheduler=scheduler)
    np.testing.assert_array_equal(back, DATA)


@pytest.mark.parametrize("name", ["bytes", "bytes_async", "serializer_between", "v2_filters_lzma"])
def test_an_array_is_pickled(tmp_path, name) -> None:
    array = create(tmp_path, **CHAINS[name])
    array[:] = DATA
    again = pickle.loads(pickle.dumps(array))
    np.testing.assert_array_equal(again[:], DATA)
    assert again == array


def separate_process(code: str, root: Path) -> None:
    run("from support import python_codecs as py\n" + code, root, "files")


@posix
@pytest.mark.parametrize("codec", ["Invert", "AsyncInvert"])
def test_forked_children_read_and_write(tmp_path, codec) -> None:
    code = """
array = make(open_store(), compressors=py.CODEC())
check(array)
assert wait(in_child(lambda: reads_and_writes(array))) == 0
stop = False
def work():
    while not stop:
        check(array)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for _ in range(5):
    assert wait(in_child(lambda: check(array))) == 0
stop = True
for thread in threads: thread.join()
check(array)
"""
    separate_process(code.replace("CODEC", codec), tmp_path)


@pytest.mark.parametrize("codec", ["py.AsyncInvert({'seconds': 1000})", "py.Invert()"])
def test_a_cancelled_call_ends_while_its_codec_is_suspended(tmp_path, codec) -> None:
    code = """
array = make(open_store(), compressors=CODEC, data=np.zeros((64, 64), "int32"))
async def main():
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(array._async_array.setitem((slice(None), slice(None)), np.ones((64, 64), "int32")))
    await asyncio.sleep(0.1)
    started = time.monotonic()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    assert time.monotonic() - started < 5
    # What the codec did on the loop has ended too.
    await asyncio.sleep(0.1)
    assert asyncio.all_tasks() == {asyncio.current_task()}
asyncio.run(main())
"""
    separate_process(code.replace("CODEC", codec), tmp_path)


@pytest.mark.parametrize("codec", ["AsyncInvert({'seconds': 1000})", "Faulty({'encode': 'sleep'})"])
def test_the_interpreter_exits_while_a_codec_is_suspended(tmp_path, codec) -> None:
    code = """
array = zarr.create_array(open_store(), shape=(64, 64), chunks=(8, 8), dtype="int32", compressors=py.CODEC)
threading.Thread(target=lambda: array.__setitem__(slice(None), 1), daemon=True).start()
time.sleep(0.3)
started = time.monotonic()
import atexit
"""
    code = "from support import python_codecs as py\n" + code.replace("CODEC", codec)
    started = time.monotonic()
    # The abandoned thread may report an error; it must not hang or crash.
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, str(tmp_path), "files"],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    for word in ("panicked", "Fatal", "Segmentation"):
        assert word not in done.stderr, done.stderr
    assert time.monotonic() - started < 30


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_closing_the_loop_while_a_codec_is_suspended_releases_the_value() -> None:
    array = create(MemoryStore(), compressors=py.AsyncInvert({"seconds": 600}))
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)

    def begin() -> weakref.ref[Any]:
        value = np.ones_like(DATA)
        task = loop.create_task(array._async_array.setitem(..., value))
        loop.run_until_complete(asyncio.sleep(0.1))
        assert not task.done()
        return weakref.ref(value)

    value = begin()
    assert value() is not None
    loop.close()
    end = time.monotonic() + 20
    while value() is not None and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    assert value() is None


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("codec", [py.Invert(), py.AsyncInvert()])
def test_stores_that_are_called_from_threads_keep_what_python_codecs_make(codec, count) -> None:
    obstore = pytest.importorskip("obstore.store")
    for layout in ({}, {"shards": (12, 10 * count)}):
        store = ObjectStore(obstore.MemoryStore())
        options = {"chunks": (4, 5), "compressors": codec, **layout}
        array = create(store, shape=(12, 10 * count), **options)
        data = np.tile(DATA, count)
        array[:] = data
        np.testing.assert_array_equal(array[:], data)
        array[3:7, 2:8] = data[3:7, 2:8] = 5
        np.testing.assert_array_equal(array[:], data)
