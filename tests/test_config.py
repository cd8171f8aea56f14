"""Each configuration key: its default, its effect, and the effect of an invalid value.

Keys that limit concurrency are measured in test_interrupts.py, direct I/O in test_stores.py.
"""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, ShardingCodec
from zarr.storage import MemoryStore

import zarrs
from zarrs import _config

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = np.arange(400, dtype="int32").reshape(20, 20)
DEFAULTS = {
    "strict": False,
    "validate_checksums": True,
    "chunk_concurrent_maximum": None,
    "chunk_concurrent_minimum": 4,
    "direct_io": False,
    "file_handle_cache_size": 0,
    "warn_fallback": False,
    "max_workers": None,
}
FLAGS = ["strict", "validate_checksums", "direct_io", "warn_fallback"]
COUNTS = [
    "chunk_concurrent_maximum",
    "chunk_concurrent_minimum",
    "file_handle_cache_size",
    "max_workers",
]
SENSELESS: dict[str, list[Any]] = {
    **{key: ["yes", 2, [], 0.5] for key in FLAGS},
    **{key: [-1, "many", 1.5, True, []] for key in COUNTS},
}
for key in ("chunk_concurrent_maximum", "chunk_concurrent_minimum", "max_workers"):
    SENSELESS[key].append(0)


@pytest.fixture
def array(store) -> zarr.Array[Any]:
    made = zarr.create_array(store, shape=DATA.shape, chunks=(5, 5), dtype="int32")
    made[:] = DATA
    return made


@pytest.fixture
def unset() -> Iterator[None]:
    """Unsets every key of this package, as in a program that only selects the pipeline."""
    before = copy.deepcopy(zarr.config.config)
    for key in DEFAULTS:
        zarr.config.config["codec_pipeline"].pop(key, None)
    yield
    zarr.config.config.clear()
    zarr.config.config.update(before)


@pytest.mark.usefixtures("unset")
def test_defaults(array) -> None:
    found = _config.current()
    assert {key: getattr(found, key) for key in DEFAULTS} == DEFAULTS
    np.testing.assert_array_equal(array[:], DATA)


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize("key", DEFAULTS)
def test_none_means_the_default(array, key) -> None:
    with zarr.config.set({f"codec_pipeline.{key}": None}):
        np.testing.assert_array_equal(array[:], DATA)
        assert getattr(_config.current(), key) == DEFAULTS[key]


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in SENSELESS.items() for value in values]
)
def test_an_invalid_value_warns_with_its_key_and_the_default_is_used(array, key, value) -> None:
    name = f"codec_pipeline.{key}"
    with zarr.config.set({name: value}):
        with pytest.warns(UserWarning, match=name) as caught:
            found = array[:]
        assert len(caught) == 1
        np.testing.assert_array_equal(found, DATA)
        # Reported once, while the value stays the same.
        array[:] = DATA + 1
        np.testing.assert_array_equal(array[3:8, 3:8], (DATA + 1)[3:8, 3:8])
    # With warnings turned into errors, a call either succeeds or raises before any byte is read or written.
    array[:] = DATA
    with zarr.config.set({name: value, "codec_pipeline.chunk_concurrent_minimum": 3}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if key != "chunk_concurrent_minimum":
                with pytest.raises(UserWarning, match=name):
                    array[:] = 0
    np.testing.assert_array_equal(array[:], DATA)


@pytest.mark.parametrize("value", [0, "two", -3])
def test_an_invalid_number_of_zarrs_threads_warns_too(value) -> None:
    # zarr itself cannot start its thread pool with it.
    with zarr.config.set({"threading.max_workers": value}):
        with pytest.warns(UserWarning, match="threading.max_workers"):
            assert _config.current().max_workers is None


SENSIBLE: list[dict[str, Any]] = [
    {"codec_pipeline.max_workers": 1},
    {"codec_pipeline.max_workers": 64},
    {"threading.max_workers": 2},
    {"codec_pipeline.chunk_concurrent_maximum": 1},
    {"codec_pipeline.chunk_concurrent_maximum": 3, "codec_pipeline.chunk_concurrent_minimum": 100},
    {"codec_pipeline.chunk_concurrent_minimum": 1},
    {"codec_pipeline.file_handle_cache_size": 2},
    {"codec_pipeline.file_handle_cache_size": 1 << 20},
    {"codec_pipeline.validate_checksums": False},
    {"codec_pipeline.strict": 1},
    {"async.concurrency": 1},
]


@pytest.mark.parametrize("settings", SENSIBLE, ids=str)
def test_every_setting_returns_the_same_values_and_takes_effect_between_calls(
    array, settings
) -> None:
    for _ in range(2):
        np.testing.assert_array_equal(array[:], DATA)
        with zarr.config.set(settings):
            np.testing.assert_array_equal(array[:], DATA)
            array[3:9, 3:9] = -1
            assert (array[3:9, 3:9] == -1).all()
            array[:] = DATA
            np.testing.assert_array_equal(array.oindex[[4, 1]], DATA[[4, 1]])


def test_the_pipelines_max_workers_takes_precedence_over_zarrs() -> None:
    with zarr.config.set({"threading.max_workers": 3}):
        assert _config.current().max_workers == 3
        with zarr.config.set({"codec_pipeline.max_workers": 2}):
            assert _config.current().max_workers == 2


class PythonSharding(ShardingCodec):
    """A Python codec that supports partial decoding and encoding, and is therefore left to zarr's own pipeline."""


def falls_back() -> dict[str, Any]:
    return {"chunks": 5, "serializer": PythonSharding(chunk_shape=(5,)), "compressors": None}


def test_strict_is_read_when_a_call_starts() -> None:
    array = zarr.create_array(MemoryStore(), shape=20, dtype="int32", **falls_back())
    with zarr.config.set({"codec_pipeline.strict": False}):
        array[:] = 3
    with pytest.raises(zarrs.UnsupportedError):
        array[:]
    with zarr.config.set({"codec_pipeline.strict": False}):
        assert (array[:] == 3).all()


def test_an_unpickled_array_uses_the_configuration_of_its_new_process() -> None:
    array = zarr.create_array(MemoryStore(), shape=20, dtype="int32", **falls_back())
    with zarr.config.set({"codec_pipeline.strict": False}):
        array[:] = 3
        pickled = pickle.dumps(array)
    with pytest.raises(zarrs.UnsupportedError):
        pickle.loads(pickled)[:]
    with zarr.config.set({"codec_pipeline.strict": False}):
        assert (pickle.loads(pickled)[:] == 3).all()


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("shards", [None, (20, 20)])
def test_stored_bytes_do_not_depend_on_the_number_of_threads(chunks_in, threads, shards) -> None:
    def stored() -> dict[str, bytes]:
        store = MemoryStore()
        array = zarr.create_array(
            store,
            shape=(60, 60),
            chunks=(10, 10),
            shards=shards,
            dtype="int32",
            compressors=BloscCodec(typesize=4),
        )
        array[:] = np.arange(3600).reshape(60, 60)
        array[5:33, 7:] = 4
        return chunks_in(store)

    with zarr.config.set({"codec_pipeline.max_workers": 3}):
        expected = stored()
    with zarr.config.set({"codec_pipeline.max_workers": threads}):
        assert stored() == expected


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("STRICT=True", "UnsupportedError"),
        ("STRICT=False", "[3 3 3]"),
        ("WARN_FALLBACK=True", "UserWarning"),
        ("MAX_WORKERS=1", "[3 3 3]"),
    ],
)
def test_the_environment_configures(variable, expected) -> None:
    name, value = variable.split("=")
    code = """
import warnings, zarr
class PythonSharding(zarr.codecs.ShardingCodec): pass
more = {"serializer": PythonSharding(chunk_shape=(3,)), "compressors": None}
array = zarr.create_array({}, shape=3, chunks=3, dtype="int32", **more)
try:
    array[:] = 3
    print(array[:])
except Exception as error:
    print(type(error).__name__)
"""
    chosen = {
        "ZARR_CODEC_PIPELINE__PATH": "zarrs.ZarrsCodecPipeline",
        f"ZARR_CODEC_PIPELINE__{name}": value,
    }
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **chosen},
        check=True,
    )
    assert done.stdout.strip() == expected
