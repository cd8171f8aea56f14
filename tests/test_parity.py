"""Any array, any operations: zarrs returns, raises and stores the same as zarr's own pipeline.

ZARRS_HYPOTHESIS=slow runs many more examples. Specific claims are in the other files.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st
from packaging.version import Version
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec
from zarr.storage import LocalStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zarr.abc.store import Store

    Draw = Callable[[st.SearchStrategy[Any]], Any]
    ChunksIn = Callable[[Store], dict[str, bytes]]

pytestmark = [
    pytest.mark.filterwarnings("ignore:The data type"),
    pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec"),
    pytest.mark.timeout(3600),
]
ZARR = Version(zarr.__version__)
OWN = "zarr.core.codec_pipeline.BatchedCodecPipeline"
# Before 3.4 zarr's own pipeline refuses some selections inside shards (test_indexing.KNOWN_BUGS);
# its errors are no oracle for those.
REFUSALS_ARE_TRUSTED = Version("3.4") <= ZARR

settings.register_profile(
    "fast",
    max_examples=400,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "slow", settings.get_profile("fast"), max_examples=20_000, derandomize=False
)
PROFILE = settings.get_profile(os.environ.get("ZARRS_HYPOTHESIS", "fast"))

NAT = np.datetime64("NaT", "s")
# data type → fill values
DATA_TYPES: dict[str, list[Any]] = {
    "bool": [False, True],
    "uint8": [0, 255],
    "int16": [0, -3],
    "int32": [0, 7],
    "uint64": [0, 2**64 - 1],
    "float16": [0.0, -0.0],
    "float32": [0.0, -0.0, float("nan"), 1.5],
    "float64": [0.0, float("nan"), float("inf")],
    "complex64": [0j, complex(0.0, float("nan"))],
    "complex128": [1 + 2j],
    "datetime64[s]": [np.datetime64(0, "s"), NAT],
    "timedelta64[us]": [np.timedelta64(5, "us")],
    "S3": [b"", b"ab"],
    "U2": ["", "é"],
}


@dataclass(frozen=True)
class Operation:
    """A write through one of the array's indexers, or a read if there is no value."""

    indexer: str
    selection: Any
    value: Any = None

    def run(self, array: zarr.Array) -> Any:
        through = array if self.indexer == "basic" else getattr(array, self.indexer)
        if self.value is None:
            return np.asarray(through[self.selection])
        through[self.selection] = self.value
        return None


def slices(extent: int) -> st.SearchStrategy[slice]:
    bound = st.none() | st.integers(-extent - 1, extent + 1)
    return st.builds(slice, bound, bound, st.none() | st.integers(1, 4))


def lists(extent: int, unique: bool) -> st.SearchStrategy[Any]:
    """Lists of indices. Writes get no duplicates: inside shards zarr's sort is unstable."""
    indices = st.integers(0, extent - 1) if unique else st.integers(-extent, extent - 1)
    return st.lists(indices, min_size=1, max_size=6, unique=unique).map(np.array)


@st.composite
def selections(draw: Draw, array_shape: tuple[int, ...], grid: tuple[int, ...], write: bool) -> Any:
    """(indexer, selection), which zarr may accept or refuse."""
    ndim = len(array_shape)
    if ndim == 0 or 0 in array_shape:
        return "basic", draw(st.sampled_from([..., ()]))
    indexer = draw(
        st.sampled_from(["basic", "basic", "oindex", "oindex", "vindex", "mask", "blocks"])
    )
    if indexer == "mask":
        bits = draw(st.lists(st.booleans(), min_size=1, max_size=12))
        return "vindex", np.resize(np.array(bits), array_shape)
    if indexer == "vindex":
        count = draw(st.integers(1, 8))
        points = [draw(st.integers(0, int(np.prod(array_shape)) - 1)) for _ in range(count)]
        if write:
            points = list(dict.fromkeys(points))
        return indexer, tuple(np.array(axis) for axis in np.unravel_index(points, array_shape))
    if indexer == "blocks":
        counts = [-(-extent // chunk) for extent, chunk in zip(array_shape, grid, strict=True)]
        blocks = [st.integers(-count, count - 1) | st.just(slice(None)) for count in counts]
        return indexer, tuple(draw(block) for block in blocks)
    choices = []
    for extent in array_shape:
        ints = st.integers(-extent, extent - 1)
        choice = slices(extent) | st.just(slice(None)) | ints
        if indexer == "oindex":
            mask = st.lists(st.booleans(), min_size=extent, max_size=extent).map(np.array)
            choice = choice | lists(extent, write) | mask
        choices.append(choice)
    selection = tuple(draw(choice) for choice in choices)
    if indexer == "basic" and draw(st.booleans()):
        return indexer, (*selection[: draw(st.integers(0, ndim - 1))], ...)
    return indexer, selection


def random_values(rng: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    """Few distinct values, so that empty chunks occur."""
    small = rng.integers(0, 4, shape)
    few = {
        "U": ["", "é", "zz", "🙂"],
        "S": [b"", b"ab", b"c", b"xyz"],
        "f": [0.0, -0.0, np.nan, 1.5],
    }.get(dtype.kind)
    return small.astype(dtype) if few is None else np.array(few, dtype)[small, ...]


@st.composite
def values(draw: Draw, dtype: np.dtype[Any], fill_value: Any, shape: tuple[int, ...]) -> Any:
    """A value for a selection of this shape, occasionally of the wrong shape."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(
        st.sampled_from(
            [
                "full",
                "full",
                "scalar",
                "fill",
                "fortran",
                "swapped",
                "strided",
                "ones",
                "wrong",
                "cast",
            ]
        )
    )
    full = random_values(rng, dtype, shape)
    if kind == "scalar":
        return random_values(rng, dtype, ())[()]
    if kind == "fill":
        return np.full(shape, fill_value, dtype)
    if kind == "fortran":
        return np.asfortranarray(full)
    if kind == "swapped":
        return full.astype(full.dtype.newbyteorder("S"))
    if kind == "strided":
        return random_values(rng, dtype, tuple(2 * extent for extent in shape))[
            tuple(slice(None, None, -2) for _ in shape)
        ]
    if kind == "ones" and shape:
        axis = draw(st.integers(0, len(shape) - 1))
        return full[tuple(slice(0, 1) if i == axis else slice(None) for i in range(len(shape)))]
    if kind == "wrong" and shape:
        return random_values(
            rng, dtype, (*shape[:-1], max(0, shape[-1] + draw(st.sampled_from([-1, 1, 3]))))
        )
    if kind == "cast" and dtype.kind in "iufc":
        return rng.integers(0, 4, shape).astype("int8")
    return full


@st.composite
def arrays(draw: Draw) -> dict[str, Any]:
    """Arguments of ``create_array``: format, data type, shape, codecs, fill value, configuration."""
    shape = tuple(draw(st.lists(st.integers(1, 9) | st.just(0), min_size=0, max_size=4)))
    chunks = tuple(draw(st.integers(1, 5)) for _ in shape)
    dtype = draw(st.sampled_from(sorted(DATA_TYPES)))
    options: dict[str, Any] = {
        "shape": shape,
        "chunks": chunks,
        "dtype": dtype,
        "fill_value": draw(st.sampled_from(DATA_TYPES[dtype])),
        "zarr_format": draw(st.sampled_from([2, 3, 3, 3])),
        "config": {
            "order": draw(st.sampled_from("CF")),
            "write_empty_chunks": draw(st.booleans()),
        },
    }
    if options["zarr_format"] == 2:
        kinds = [None, numcodecs.Zstd(), numcodecs.GZip(1), numcodecs.Zlib(1), numcodecs.Blosc()]
        options["compressors"] = draw(st.sampled_from(kinds))
        options["order"] = draw(st.sampled_from("CF"))
        if draw(st.booleans()):
            options["dtype"] = np.dtype(dtype).newbyteorder(">")
            options["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
        return options
    blosc = BloscCodec(typesize=np.dtype(dtype).itemsize, shuffle="shuffle")
    compressors = st.sampled_from([ZstdCodec(), GzipCodec(level=1), blosc, Crc32cCodec()])
    options["compressors"] = draw(st.lists(compressors, max_size=2)) or None
    if len(shape) > 1 and draw(st.booleans()):
        options["filters"] = [TransposeCodec(order=tuple(draw(st.permutations(range(len(shape))))))]
    if shape and draw(st.booleans()):
        shards = tuple(extent * draw(st.integers(1, 3)) for extent in chunks)
        options["shards"] = shards
        if draw(st.booleans()):
            options["shards"] = {"shape": shards, "index_location": "start"}
    elif np.dtype(dtype).itemsize > 1 and dtype != "S3" and draw(st.booleans()):
        options["serializer"] = BytesCodec(endian="big")
    return options


def selected_shape(array: zarr.Array, indexer: str, selection: Any) -> tuple[int, ...]:
    with own_pipeline():
        return np.shape(Operation(indexer, selection).run(array))


@st.composite
def scenarios(draw: Draw) -> tuple[dict[str, Any], list[Operation], bool]:
    """An array, operations on it, and whether it is stored in files."""
    options = draw(arrays())
    with own_pipeline():
        try:
            array = zarr.create_array(MemoryStore(), **options)
        except Exception:
            assume(False)
    grid = array.shards or array.chunks
    operations = []
    for _ in range(draw(st.integers(1, 4))):
        write = draw(st.sampled_from([True, True, False]))
        indexer, selection = draw(selections(array.shape, grid, write))
        value = None
        if write:
            try:
                shape = selected_shape(array, indexer, selection)
            except Exception:
                shape = ()
            dtype = np.dtype(options["dtype"]).newbyteorder("=")
            value = draw(values(dtype, options["fill_value"], shape))
        operations.append(Operation(indexer, selection, value))
    return options, operations, draw(st.booleans())


@contextmanager
def own_pipeline() -> Iterator[None]:
    with zarr.config.set({"codec_pipeline.path": OWN, "codec_pipeline.strict": False}):
        yield


@contextmanager
def new_store(files: bool) -> Iterator[Store]:
    if not files:
        yield MemoryStore()
        return
    with tempfile.TemporaryDirectory() as directory:
        yield LocalStore(directory)


def outcome(operation: Operation, array: zarr.Array) -> Any:
    try:
        return operation.run(array)
    except Exception as error:
        note(f"{type(error).__name__}: {error}")
        return type(error)


def assert_same(actual: Any, expected: Any) -> None:
    """The same error, or the same type, order and bytes."""
    if isinstance(expected, type) or isinstance(actual, type):
        assert actual is expected, f"{actual!r} instead of {expected!r}"
    elif expected is not None:
        assert actual.dtype == expected.dtype
        assert actual.shape == expected.shape
        assert actual.tobytes() == expected.tobytes()


def is_open(operation: Operation, array: zarr.Array) -> bool:
    """A value of another shape than the selection's, written to shards.

    zarr broadcasts and clamps such a value per subchunk: it refuses values that NumPy spreads over
    several subchunks, and accepts some that are too short. zarrs follows NumPy.
    """
    if array.shards is None or operation.value is None:
        return False
    shape = selected_shape(array, operation.indexer, operation.selection)
    return shape not in ((), np.shape(operation.value))


@PROFILE
@given(scenario=scenarios())
def test_results_errors_and_stored_chunks_are_those_of_zarrs_own_pipeline(
    chunks_in: ChunksIn, scenario: tuple[dict[str, Any], list[Operation], bool]
) -> None:
    options, operations, files = scenario
    with new_store(files) as ours, new_store(False) as theirs:
        array = zarr.create_array(ours, **options)
        with own_pipeline():
            other = zarr.create_array(theirs, **options)
        for operation in operations:
            actual = outcome(operation, array)
            with own_pipeline():
                expected = outcome(operation, other)
            if isinstance(expected, type) and not REFUSALS_ARE_TRUSTED:
                return
            if is_open(operation, array) and {actual, expected} == {None, ValueError}:
                return
            assert_same(actual, expected)
            if isinstance(expected, type) and operation.value is not None:
                return  # which chunks were written before the error is unspecified
        assert chunks_in(ours).keys() == chunks_in(theirs).keys()
        whole = Operation("basic", ...)
        with own_pipeline():
            expected = outcome(whole, zarr.open_array(theirs, mode="r"))
            assert_same(outcome(whole, zarr.open_array(ours, mode="r")), expected)
        assert_same(outcome(whole, zarr.open_array(theirs, mode="r")), expected)
        assert_same(outcome(whole, zarr.open_array(ours, mode="r")), expected)
