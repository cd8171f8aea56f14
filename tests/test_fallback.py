"""Calls that fall back to zarr's own pipeline: correct results, a recorded reason, no warning by default, refusal in strict mode."""

from __future__ import annotations

import asyncio
import logging
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import zarr
import zarr.core.codec_pipeline
from zarr.codecs import (
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    ShardingCodec,
    TransposeCodec,
    ZstdCodec,
)
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import BufferPrototype, cpu
from zarr.registry import register_codec
from zarr.storage import LocalStore, MemoryStore

import zarrs
from zarrs import _fallback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A codec of numcodecs; zarr warns when it is created, the pipeline does not.
# numcodecs reads a size below one as no size; such a configuration runs as a Python step.
ODD = {"name": "numcodecs.shuffle", "configuration": {"elementsize": 0.5}}
DATA = np.arange(1, 121, dtype="int32").reshape(12, 10)


class OtherNDBuffer(cpu.NDBuffer):
    """Stands in for a buffer on another device: not zarr's own class."""


class PythonSharding(ShardingCodec):
    """A Python codec that supports partial decoding and encoding."""

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "name": "python_sharding"}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        return super().from_dict({**data, "name": "sharding_indexed"})


register_codec("python_sharding", PythonSharding)
PYTHON_SHARDS = PythonSharding(chunk_shape=(2, 5), codecs=[BytesCodec(), ZstdCodec()])


class CountingGzip(GzipCodec):
    """A Python codec registered under a built-in's name; it counts the chunks it decodes."""

    decoded = 0

    async def _decode_single(self, *arguments: Any) -> Any:
        CountingGzip.decoded += 1
        return await super()._decode_single(*arguments)

    if hasattr(GzipCodec, "_decode_sync"):

        def _decode_sync(self, *arguments: Any) -> Any:
            CountingGzip.decoded += 1
            return super()._decode_sync(*arguments)


class Case(NamedTuple):
    """An array that falls back: a part of the reason, the array's options, its data and its store."""

    reason: str
    options: dict[str, Any]
    data: Any = DATA
    store: Any = MemoryStore


CASES: dict[str, Case] = {
    "codec": Case("PythonSharding", {"serializer": PYTHON_SHARDS, "compressors": None}),
}
# zarr warns that these codecs are outside the specification.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3"),
    pytest.mark.filterwarnings("ignore:The data type"),
    pytest.mark.filterwarnings("ignore:.*BytesCodec.*endian"),
]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def lenient() -> Iterator[None]:
    with zarr.config.set({"codec_pipeline.strict": False}):
        yield


@pytest.fixture(autouse=True)
def fresh_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resets the recorded reasons, as in a process without a fallback so far."""
    monkeypatch.setattr(_fallback, "_logged", set())
    monkeypatch.setattr(_fallback, "_warned", set())
    monkeypatch.setitem(_fallback.counters, "fallback", {})


def unexpected(caught: pytest.WarningsRecorder) -> list[str]:
    messages = [str(warning.message) for warning in caught]
    # zarr's own warning about the codec.
    return [message for message in messages if not message.startswith("Numcodecs codecs are not")]


def create(case: Case, store: Any = None) -> zarr.Array[Any]:
    options = {"chunks": (4, 5), "dtype": "int32", **case.options}
    return zarr.create_array(case.store() if store is None else store, shape=(12, 10), **options)


@pytest.mark.usefixtures("lenient")
def test_results_are_correct_and_the_reason_is_recorded(case, recwarn) -> None:
    array = create(case)
    array[:] = case.data
    expected = case.data.copy()
    np.testing.assert_array_equal(array[:], expected)
    array[2:7, 3] = expected[0, 0].item()
    expected[2:7, 3] = expected[0, 0]
    np.testing.assert_array_equal(array[1:9], expected[1:9])
    np.testing.assert_array_equal(array.oindex[[3, 0, 3]], expected[[3, 0, 3]])
    np.testing.assert_array_equal(array.vindex[[3, 0], [1, 2]], expected[[3, 0], [1, 2]])
    assert array[5, 5] == expected[5, 5]
    assert unexpected(recwarn) == []
    reasons = list(_fallback.counters["fallback"])
    assert len(reasons) == 1
    assert case.reason in reasons[0]


@pytest.mark.skipif(
    not hasattr(zarr.core.codec_pipeline, "FusedCodecPipeline"), reason="came with zarr 3.3"
)
@pytest.mark.usefixtures("lenient")
def test_calls_that_fall_back_run_on_zarrs_fused_pipeline(case, monkeypatch) -> None:
    fused = zarr.core.codec_pipeline.FusedCodecPipeline
    called: list[str] = []

    def counted(name: str) -> Any:
        method = getattr(fused, name)

        def call(self: Any, *arguments: Any, **more: Any) -> Any:
            called.append(name)
            return method(self, *arguments, **more)

        return call

    for name in ("read", "write"):
        monkeypatch.setattr(fused, name, counted(name))
    array = create(case)
    array[:] = case.data
    np.testing.assert_array_equal(array[:], case.data)
    assert {"read", "write"} <= set(called)


@pytest.mark.usefixtures("lenient")
def test_the_reason_is_logged_once(case, caplog) -> None:
    with caplog.at_level(logging.INFO, logger="zarrs"):
        array = create(case)
        assert not [record for record in caplog.records if record.name == "zarrs"]
        for _ in range(3):
            array[:] = case.data
            array[:]
    records = [record for record in caplog.records if record.name == "zarrs"]
    assert len(records) == 1
    assert records[0].levelno == logging.INFO
    assert case.reason in records[0].getMessage()


@pytest.mark.usefixtures("lenient")
def test_a_warning_is_issued_once_per_reason_and_only_if_enabled(case) -> None:
    array = create(case)
    with zarr.config.set({"codec_pipeline.warn_fallback": True}):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(3):
                array[:] = case.data
                array[:]
    assert len(caught) == 1
    assert case.reason in str(caught[0].message)
    assert caught[0].category is UserWarning


@pytest.mark.usefixtures("lenient")
def test_a_warning_enabled_later_is_issued_even_if_the_reason_was_logged() -> None:
    array = create(CASES["codec"])
    array[:] = DATA
    with zarr.config.set({"codec_pipeline.warn_fallback": True}):
        with pytest.warns(UserWarning, match="PythonSharding"):
            array[:]


def test_strict_refuses_at_the_first_read_or_write_and_not_before(case) -> None:
    store = case.store()
    array = create(case, store)
    array = zarr.open_array(store)
    zarr.open_group({}).create_array("a", shape=1, chunks=1, dtype="int32", compressors=ODD)
    for action in (lambda: array[:], lambda: array[0, 0], lambda: array.__setitem__(0, 1)):
        with pytest.raises(zarrs.UnsupportedError) as caught:
            action()
        error = caught.value
        assert case.reason in error.what + error.reason
        assert error.what in str(error)
        assert error.reason in str(error)
        assert "codec_pipeline.strict" in str(error)
        assert not isinstance(error, (NotImplementedError, TypeError))
    # Nothing was written.
    with zarr.config.set({"codec_pipeline.strict": False}):
        np.testing.assert_array_equal(array[:], np.zeros_like(case.data))


@pytest.mark.usefixtures("lenient")
def test_explain_says_why(case) -> None:
    array = create(case)
    explanation = zarrs.explain(array)
    assert not explanation.native
    assert any(case.reason in reason for reason in explanation.reasons)
    assert any(reason in str(explanation) for reason in explanation.reasons)
    assert {where for _, where in explanation.steps} == {"zarr-python"}
    assert zarrs.explain(array._async_array) == explanation


NATIVE: dict[str, dict[str, Any]] = {
    "v3": {},
    "v3_transposed": {"filters": [TransposeCodec(order=(1, 0))], "compressors": [GzipCodec()]},
    "v3_sharded": {"shards": (12, 10), "compressors": [ZstdCodec(), Crc32cCodec()]},
    "v2": {"zarr_format": 2},
    "v2_order_f": {"zarr_format": 2, "order": "F", "compressors": None},
    "scalar": {"shape": (), "chunks": ()},
}


@pytest.mark.parametrize("name", NATIVE)
def test_explain_says_what_runs_in_rust(make_store, name) -> None:
    store = make_store()
    options = {"shape": (12, 10), "chunks": (4, 5), "dtype": "int32", **NATIVE[name]}
    explanation = zarrs.explain(zarr.create_array(store, **options))
    assert explanation.native
    assert explanation.reasons == ()
    assert {where for _, where in explanation.steps} == {"Rust"}
    assert explanation.pipeline == "zarrs.ZarrsCodecPipeline"
    assert explanation.store == (
        "native files" if isinstance(store, LocalStore) else "native memory"
    )
    assert "Rust" in str(explanation)


def test_explain_reads_nothing_and_works_under_another_pipeline(oracle, tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path, shape=9, chunks=3, dtype="int32")
    (tmp_path / "zarr.json").unlink()
    assert zarrs.explain(array).native
    with oracle():
        array = zarr.create_array({}, shape=9, chunks=3, dtype="int32")
    explanation = zarrs.explain(array)
    assert not explanation.native
    assert "codec_pipeline.path" in explanation.reasons[0]


# -- third-party classes ----------------------------------------------------------------------------


@pytest.fixture
def counting_gzip() -> Iterator[type[CountingGzip]]:
    """Registers the Python codec under the built-in's name."""
    register_codec("gzip", CountingGzip)
    name = f"{CountingGzip.__module__}.{CountingGzip.__qualname__}"
    with zarr.config.set({"codecs.gzip": name}):
        CountingGzip.decoded = 0
        yield CountingGzip


@pytest.mark.parametrize("sharded", [False, True])
def test_a_codec_registered_over_a_built_in_is_called(counting_gzip, sharded) -> None:
    store = MemoryStore()
    shards = (12, 10) if sharded else None
    more = {"chunks": (4, 5), "shards": shards, "dtype": "int32", "compressors": GzipCodec()}
    zarr.create_array(store, shape=(12, 10), **more)
    array = zarr.open_array(store)
    assert zarrs.explain(array).native
    assert ("CountingGzip", "Python") in zarrs.explain(array).steps
    array[:] = DATA
    np.testing.assert_array_equal(array[:], DATA)
    assert counting_gzip.decoded >= 6


def test_a_buffer_of_another_class_is_left_to_zarr() -> None:
    array = zarr.create_array({}, shape=(12, 10), chunks=(4, 5), dtype="int32")
    array[:] = DATA
    prototype = BufferPrototype(buffer=cpu.Buffer, nd_buffer=OtherNDBuffer)

    def read() -> Any:
        return array.get_basic_selection((slice(1, 9), slice(None)), prototype=prototype)

    with pytest.raises(zarrs.UnsupportedError, match="buffer"):
        read()
    with zarr.config.set({"codec_pipeline.strict": False}):
        np.testing.assert_array_equal(read(), DATA[1:9])
    np.testing.assert_array_equal(array[1:9], DATA[1:9])


# -- inner pipelines of zarr's own sharding codec ---------------------------------------------------


@pytest.mark.parametrize("strict", [True, False])
def test_shard_indexes_of_another_pipeline_pass_through_this_one(recwarn, oracle, strict) -> None:
    store = MemoryStore()
    with oracle():
        array = zarr.create_array(
            store, shape=(12, 10), shards=(12, 10), chunks=(4, 5), dtype="int32", compressors=ODD
        )
    # The array keeps zarr's pipeline, but its sharding codec uses the configured one.
    with zarr.config.set(
        {"codec_pipeline.strict": strict, "codec_pipeline.warn_fallback": not strict}
    ):
        array[:] = DATA
        array[3:5, 2] = 0
        expected = DATA.copy()
        expected[3:5, 2] = 0
        np.testing.assert_array_equal(array[:], expected)
        np.testing.assert_array_equal(array[2:6, 1:4], expected[2:6, 1:4])
    assert unexpected(recwarn) == []


@pytest.mark.parametrize("evolved", [True, False])
def test_codecs_alone_decode_and_encode_in_strict_mode(evolved) -> None:
    array = zarr.create_array({}, shape=(4, 5), chunks=(4, 5), dtype="int32", compressors=ODD)
    codecs = tuple(array._async_array.codec_pipeline)
    spec = ArraySpec(
        shape=(4, 5),
        dtype=array._async_array.metadata.data_type,
        fill_value=np.int32(0),
        config=ArrayConfig(order="C", write_empty_chunks=False),
        prototype=BufferPrototype(buffer=cpu.Buffer, nd_buffer=cpu.NDBuffer),
    )
    pipeline: Any = zarrs.ZarrsCodecPipeline.from_codecs(codecs)
    if evolved:
        pipeline = pipeline.evolve_from_array_spec(spec)
    value = cpu.NDBuffer.from_numpy_array(DATA[:4, :5])

    async def round_trip() -> Any:
        encoded = list(await pipeline.encode([(value, spec), (None, spec)]))
        assert encoded[1] is None
        return list(await pipeline.decode(list(zip(encoded, [spec, spec], strict=True))))

    decoded = asyncio.run(round_trip())
    np.testing.assert_array_equal(decoded[0].as_numpy_array(), DATA[:4, :5])
    assert decoded[1] is None
