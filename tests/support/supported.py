"""What runs where: the tables of docs/supported.md, written by `make supported` and checked row by row by test_supported.py.

Plain data, so that the page is built without zarr: codecs as in array metadata, stores and examples as functions and text.
The tables of codecs are in ``supported_codecs``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

NATIVE, PYTHON, FALLBACK = "native", "Python step", "fallback"


@dataclass(frozen=True)
class Sample:
    """An array on which a row's claim is checked.

    Attributes
    ----------
    options : dict
        Arguments of `zarr.create_array` beside the shape (12, 10); chunks default to (4, 5), the data type to int32.
    since : str
        The first release of zarr that supports it.
    needs : str
        A module that zarr itself needs for it.
    unreadable : bool
        Whether zarr's own pipeline writes the array but refuses to read it back.
    refusable : bool
        Whether some releases of zarr reject the data type; the claim is then skipped.
    """

    options: dict[str, Any]
    since: str = "3.1"
    needs: str = ""
    unreadable: bool = False
    refusable: bool = False


@dataclass(frozen=True)
class Row:
    """A line of a table of data types or codecs.

    Attributes
    ----------
    what, kind, remark : str
        The cells of the row.
    samples : tuple of Sample
        The arrays for which the claim holds.
    where : str
        NATIVE, PYTHON or FALLBACK.
    reason : str
        A part of the error message in strict mode; for fallbacks only.
    """

    what: str
    kind: str
    remark: str
    samples: tuple[Sample, ...] = field(repr=False)
    where: str = NATIVE
    reason: str = ""


@dataclass(frozen=True)
class StoreRow:
    """A line of the table of stores. `make` receives an empty directory, or the server that `server` names.

    `reopen` turns the store that was written into the store that the row describes.
    """

    what: str
    way: str
    make: Callable[[Any], Any]
    remark: str = ""
    since: str = "3.1"
    server: str = ""
    reopen: Callable[[Any, Any], Any] | None = None


@dataclass(frozen=True)
class Selection:
    """Selections, as code on the array ``z`` and equivalent code on the NumPy array ``a``."""

    what: str
    examples: dict[str, str]


@dataclass(frozen=True)
class Call:
    """A call that falls back although the array runs in Rust otherwise: code on ``z``."""

    what: str
    reason: str
    code: str
    sample: Sample


# -- data types -------------------------------------------------------------------------------------


def _dtypes(*names: Any, **more: Any) -> tuple[Sample, ...]:
    return tuple(Sample({"dtype": name}, **more) for name in names)


_INTS = ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")
_UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "10us")
_FLAT = [("a", "<i4"), ("b", "<f8"), ("c", "S3"), ("d", "?")]
_NESTED = [("a", "<u2"), ("in", [("x", "<f4"), ("t", "<M8[s]")])]
_WITH_ARRAY = [("a", "<i2"), ("m", "<f4", (2, 3))]

DATA_TYPES = (
    Row("boolean", "`bool`", "", _dtypes("bool")),
    Row("integers", "`int8` to `int64`, `uint8` to `uint64`", "", _dtypes(*_INTS[0], *_INTS[1])),
    Row("floats", "`float16`, `float32`, `float64`", "", _dtypes("float16", "float32", "float64")),
    Row("complex", "`complex64`, `complex128`", "", _dtypes("complex64", "complex128")),
    Row(
        "dates and durations",
        "`datetime64`, `timedelta64`",
        "every unit",
        _dtypes(*(f"{kind}8[{unit}]" for kind in "Mm" for unit in _UNITS)),
    ),
    Row("bytes and text of fixed length", "`S`, `U`", "", _dtypes("S1", "S7", "U1", "U5")),
    Row("raw", "`V`", "", _dtypes("V1", "V6", "V16")),
    Row("structured", "", "nested too", _dtypes(_FLAT, _NESTED, refusable=True)),
    Row(
        "structured with sub-arrays",
        "",
        "as far as zarr-python accepts them",
        _dtypes(_WITH_ARRAY, refusable=True),
    ),
    Row(
        "`ml_dtypes`",
        "`bfloat16` and others",
        "as far as zarr-python accepts them",
        _dtypes("bfloat16", "float8_e5m2", "int4", needs="ml_dtypes", refusable=True),
    ),
    Row(
        "text of variable length",
        "`StringDType`; arrays of `str` with NumPy 1",
        "",
        _dtypes("string"),
    ),
    Row(
        "bytes of variable length",
        "arrays of `bytes`",
        "",
        _dtypes("variable_length_bytes"),
    ),
    Row(
        "text with a fill value that ends in a null character",
        "",
        "",
        (Sample({"dtype": "string", "fill_value": "x\0"}),),
        FALLBACK,
        "it ends with a null character",
    ),
    Row(
        "other Python objects, through format 2's object codecs",
        "",
        "zarr-python itself reads few of them",
        tuple(
            Sample({"dtype": "string", "zarr_format": 2, "filters": [{"id": name}]}, **more)
            for name, more in (("json2", {"unreadable": True}), ("pickle", {"unreadable": True}))
        ),
        PYTHON,
    ),
)

# -- stores -----------------------------------------------------------------------------------------

CALLED, AWAITED = "called", "awaited"


def _zarr_store(kind: str, *arguments: Any, **more: Any) -> Any:
    import zarr.storage

    return getattr(zarr.storage, kind)(*arguments, **more)


def _obstore(kind: str, *arguments: Any, **more: Any) -> Any:
    import obstore.store

    return _zarr_store("ObjectStore", getattr(obstore.store, kind)(*arguments, **more))


def _fsspec(url: str, **options: Any) -> Any:
    from zarr.storage import FsspecStore

    return FsspecStore.from_url(url, storage_options=options)


def _memory() -> Any:
    return _zarr_store("MemoryStore")


def _archive(directory: Any) -> Any:
    return _zarr_store("ZipStore", directory / "array.zip", mode="w")


def _reopened_archive(store: Any, directory: Any) -> Any:
    store.close()
    return _zarr_store("ZipStore", directory / "array.zip", mode="r")


def _subclass(directory: Any) -> Any:
    from zarr.storage import LocalStore

    class Subclass(LocalStore):
        pass

    return Subclass(directory / "subclass")


def _cache(_: Any) -> Any:
    from zarr.experimental.cache_store import CacheStore

    return CacheStore(_memory(), cache_store=_memory())


def _icechunk(_: Any) -> Any:
    import icechunk

    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    return repository.writable_session("main").store


STORES = (
    StoreRow("`LocalStore`", NATIVE, lambda path: _zarr_store("LocalStore", path / "a")),
    StoreRow("`MemoryStore`, a dictionary", NATIVE, lambda _: _memory()),
    StoreRow(
        "`ManagedMemoryStore`",
        NATIVE,
        lambda path: _zarr_store("ManagedMemoryStore", name=str(path).replace("/", "-")),
        since="3.2",
    ),
    StoreRow(
        "`WrapperStore` itself (no subclass) around one of these",
        NATIVE,
        lambda path: _zarr_store("WrapperStore", _zarr_store("LocalStore", path / "a")),
    ),
    StoreRow(
        "`ZipStore` opened for reading",
        NATIVE,
        _archive,
        "from a path, on POSIX systems; entries stored or deflated",
        reopen=_reopened_archive,
    ),
    StoreRow(
        "`ObjectStore` over obstore's `LocalStore`",
        CALLED,
        lambda path: _obstore("LocalStore", str(path / "a"), mkdir=True),
    ),
    StoreRow(
        "`ObjectStore` over obstore's `MemoryStore`", CALLED, lambda _: _obstore("MemoryStore")
    ),
    StoreRow(
        "`FsspecStore` over local files",
        CALLED,
        lambda path: _fsspec(f"file://{path / 'a'}", auto_mkdir=True),
    ),
    StoreRow(
        "`FsspecStore` over fsspec's memory", CALLED, lambda path: _fsspec(f"memory://{path}")
    ),
    StoreRow(
        "`LoggingStore` around a `LocalStore` or `MemoryStore`",
        CALLED,
        lambda _: _zarr_store("LoggingStore", _memory(), log_level="ERROR"),
        "awaited before zarr 3.3",
        since="3.3",
    ),
    StoreRow("`ZipStore` opened for writing", AWAITED, _archive),
    StoreRow(
        "`ObjectStore` over S3, GCS, Azure, HTTP",
        AWAITED,
        lambda s3: _zarr_store("ObjectStore", s3.obstore("supported")),
        server="s3",
    ),
    StoreRow(
        "`FsspecStore` over S3, GCS, Azure, HTTP",
        AWAITED,
        lambda s3: _fsspec("s3://bucket/supported-s3fs", **s3.options),
        server="s3",
    ),
    StoreRow("icechunk", AWAITED, _icechunk),
    StoreRow("`CacheStore`", AWAITED, _cache, since="3.2"),
    StoreRow(
        "any other class, including subclasses of the above",
        AWAITED,
        _subclass,
        "a subclass may override `get`",
    ),
)

# -- selections -------------------------------------------------------------------------------------

# Of an array of shape (24, 9) in chunks of (5, 4); `mask` has one value for each column, `boolean_array` one for each element.
SELECTIONS = (
    Selection(
        "basic",
        {
            "z[10:20, 3, ...]": "a[10:20, 3, ...]",
            "z[::4]": "a[::4]",
            "z[()]": "a[()]",
        },
    ),
    Selection(
        "orthogonal", {"z.oindex[[5, 1, 1], mask]": "a[np.ix_([5, 1, 1], mask.nonzero()[0])]"}
    ),
    Selection(
        "coordinate",
        {
            "z.vindex[[0, 4], [2, 3]]": "a[[0, 4], [2, 3]]",
            "z[[7, 4], [2, 3]]": "a[[7, 4], [2, 3]]",
        },
    ),
    Selection("mask", {"z[boolean_array]": "a[boolean_array]"}),
    Selection("block", {"z.blocks[0, 2]": "a[0:5, 8:9]"}),
)

# -- calls ------------------------------------------------------------------------------------------

CALLS = (
    Call(
        "an array assigned to one element of variable length",
        "an array is assigned to one element of variable length",
        'z[2, 2] = np.array(["word"], dtype=object)',
        Sample({"dtype": "string"}),
    ),
    Call(
        "missing strings written to shards",
        "it has missing strings",
        "z[:] = np.full((12, 10), None, np.dtypes.StringDType(na_object=None))",
        Sample({"dtype": "string", "shards": (8, 10)}, needs="numpy.strings"),
    ),
    Call(
        "elements of other types in arrays of bytes of variable length",
        "an element is neither bytes nor None",
        "z[:] = np.full((12, 10), 3, dtype=object)",
        Sample({"dtype": "variable_length_bytes"}),
    ),
    Call(
        "chunks of different shapes (rectilinear grids) with a Python step",
        "differ in shape",
        "z[:] = 1",
        Sample(
            {"chunks": ((4, 8), (5, 5)), "filters": [{"name": "py.Plus", "configuration": {}}]},
            since="3.2",
        ),
    ),
)
