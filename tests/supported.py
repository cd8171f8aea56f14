"""What runs where: the tables of docs/supported.md, which `make supported` writes and test_supported walks row by row.

Plain data, so that the page is made without zarr: codecs stand as in an array's metadata, stores and examples as functions
and text. The configurations of numcodecs' bytes codecs are in ``codec_table``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from codec_table import BYTES_CODECS

if TYPE_CHECKING:
    from collections.abc import Callable

NATIVE, PYTHON, FALLBACK = "native", "Python step", "fallback"
WRAPPERS = "3.1.3"  # the release of zarr that brought the classes of `zarr.codecs.numcodecs`
BLOSC_NAMES = ("blosclz", "lz4", "lz4hc", "zlib", "zstd")


@dataclass(frozen=True)
class Sample:
    """An array in which the row's claim can be seen.

    Attributes
    ----------
    options : dict
        For `zarr.create_array`, beside the shape (12, 10); chunks are (4, 5) and data is int32 where nothing is said.
    since : str
        The release of zarr that brought it.
    needs : str
        A module without which zarr itself cannot do it.
    unreadable : bool
        Whether zarr's own pipeline writes it, but refuses to read it back.
    refusable : bool
        Whether some releases of zarr take no such data type, which is then nothing to show.
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
        As the page shows them.
    samples : tuple of Sample
        Arrays; the claim holds for each.
    where : str
        NATIVE, PYTHON or FALLBACK.
    reason : str
        A part of the error's text in strict mode; for fallbacks only.
    """

    what: str
    kind: str
    remark: str
    samples: tuple[Sample, ...] = field(repr=False)
    where: str = NATIVE
    reason: str = ""


@dataclass(frozen=True)
class StoreRow:
    """A line of the table of stores. `make` is given an empty directory, or the server named by `server`.

    `reopen` makes the store that the row is about of one that has been written.
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
    """Ways to select, each as code on the array ``z`` and the same on NumPy's array ``a``."""

    what: str
    examples: dict[str, str]


@dataclass(frozen=True)
class Call:
    """A call that falls back on an array that is native otherwise: code on ``z``."""

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
        "as far as zarr-python takes them",
        _dtypes(_WITH_ARRAY, refusable=True),
    ),
    Row(
        "`ml_dtypes`",
        "`bfloat16` and others",
        "as far as zarr-python takes them",
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
        "text with a fill value that ends with a null character",
        "",
        "",
        (Sample({"dtype": "string", "fill_value": "x\0"}),),
        FALLBACK,
        "it ends with a null character",
    ),
    Row(
        "other Python objects, by way of format 2's object codecs",
        "",
        "zarr-python itself reads few of them",
        tuple(
            Sample({"dtype": "string", "zarr_format": 2, "filters": [{"id": name}]}, **more)
            for name, more in (("json2", {"unreadable": True}), ("pickle", {"unreadable": True}))
        ),
        FALLBACK,
        "have no fixed size",
    ),
)

# -- codecs of format 3 -----------------------------------------------------------------------------

ARRAYS, SERIALIZER, BYTES = "array-to-array", "array-to-bytes", "bytes-to-bytes"


def _codec(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


def _filtered(dtype: str, *codecs: dict[str, Any], **more: Any) -> Sample:
    return Sample({"dtype": dtype, "filters": list(codecs)}, **more)


def _serialized(codec: dict[str, Any], **more: Any) -> Sample:
    return Sample({"serializer": codec, "compressors": None, **more.pop("options", {})}, **more)


def _compressed(*codecs: dict[str, Any], **more: Any) -> Sample:
    return Sample({"compressors": list(codecs)}, **more)


_LITTLE = _codec("bytes", endian="little")
_CRC = {"name": "crc32c"}


def _shards(**configuration: Any) -> dict[str, Any]:
    parts = {"chunk_shape": [2, 5], "codecs": [_LITTLE], "index_codecs": [_LITTLE, _CRC]}
    return _codec("sharding_indexed", **(parts | configuration))


# What each is made with, by its name in numcodecs, and the elements that it is given.
_FILTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "delta": ("int32", {"dtype": "<i4"}),
    "fixedscaleoffset": (
        "float64",
        {"offset": 2, "scale": 4, "dtype": "<f8", "astype": "<i4"},
    ),
    "quantize": ("float64", {"digits": 2, "dtype": "<f8"}),
    "bitround": ("float32", {"keepbits": 12}),
    "astype": ("int32", {"encode_dtype": "<i8", "decode_dtype": "<i4"}),
    "packbits": ("bool", {}),
}

IN_INDEXES = "; inside a shard's index too"
_UNLIKE = (
    "floats stored as `uint32`; `delta` of truth values, of dates as dates, and between types"
    " without a common integer"
)
# Settings of numcodecs' bytes codecs, as the page words them; the names are those of `codec_table`.
_SETTINGS = {
    ("blosc", "zstd", "gzip", "zlib", "bz2", "lz4"): "all settings; blosc without snappy",
    ("lzma",): "every `format`, `check` and `preset`, and `filters`",
    ("shuffle",): "every `elementsize`",
    ("crc32", "crc32c", "adler32"): "`location`" + IN_INDEXES,
    ("fletcher32", "jenkins_lookup3"): "`initval` and `prefix`" + IN_INDEXES,
}


def _listed(names: Any, prefix: str = "") -> str:
    return ", ".join(f"`{prefix}{name}`" for name in names)


def _configurations(name: str) -> list[dict[str, Any]]:
    return BYTES_CODECS[name][2][:2]


CODECS_3 = (
    Row(
        "`transpose`",
        ARRAYS,
        "costs no pass of its own",
        (_filtered("int32", _codec("transpose", order=[1, 0])),),
    ),
    Row(
        "`cast_value`",
        ARRAYS,
        "while cast-value-rs 0.5 is installed",
        (
            _filtered(
                "float32",
                _codec("cast_value", data_type="int16"),
                since="3.2",
                needs="cast_value_rs",
            ),
        ),
    ),
    Row(
        "`scale_offset`",
        ARRAYS,
        "",
        (_filtered("float32", _codec("scale_offset", offset=1, scale=2), since="3.2"),),
    ),
    Row(
        _listed(_FILTERS, "numcodecs."),
        ARRAYS,
        "for integers and floats, as numcodecs and NumPy compute; `packbits` for truth values",
        tuple(
            _filtered(dtype, _codec(f"numcodecs.{name}", **configuration), since=WRAPPERS)
            for name, (dtype, configuration) in _FILTERS.items()
        ),
    ),
    Row(
        "the same, in combinations for which what NumPy gives is not the same everywhere",
        ARRAYS,
        _UNLIKE,
        (
            _filtered(
                "float32",
                _codec("numcodecs.astype", decode_dtype="<f4", encode_dtype="<u4"),
                since=WRAPPERS,
            ),
        ),
        PYTHON,
    ),
    Row(
        "array-to-array codecs but `transpose`, in front of `sharding_indexed`",
        ARRAYS,
        "they and the shards are a step in Python",
        (
            _serialized(_shards(), options={"filters": [_codec("own.Plus")]}),
            _serialized(
                _shards(),
                options={
                    "filters": [_codec("numcodecs.astype", encode_dtype="<i8", decode_dtype="<i4")]
                },
                since=WRAPPERS,
            ),
        ),
        PYTHON,
    ),
    Row(
        "`bytes`",
        SERIALIZER,
        "both byte orders",
        tuple(_serialized(_codec("bytes", endian=endian)) for endian in ("little", "big")),
    ),
    Row(
        "`numcodecs.pcodec`",
        SERIALIZER,
        "its whole configuration",
        tuple(
            _serialized(_codec("numcodecs.pcodec", **more), since=WRAPPERS, needs="pcodec")
            for more in ({}, {"level": 3, "mode_spec": "classic"})
        ),
    ),
    Row(
        "`vlen-utf8`, `vlen-bytes`",
        SERIALIZER,
        "with the data types `string` and `variable_length_bytes`",
        (
            _serialized({"name": "vlen-utf8"}, options={"dtype": "string"}),
            _serialized({"name": "vlen-bytes"}, options={"dtype": "variable_length_bytes"}),
        ),
    ),
    Row(
        "`sharding_indexed`",
        SERIALIZER,
        "index at start or end, own index codecs, nested, inside other codecs, every `subchunk_write_order`",
        (
            _serialized(_shards()),
            _serialized(_shards(index_location="start", index_codecs=[_LITTLE])),
            _serialized(
                _shards(chunk_shape=[4, 5], codecs=[_shards(), _codec("gzip", level=1)]),
                options={"chunks": (8, 10)},
            ),
            _serialized(
                _shards(codecs=[_codec("transpose", order=[1, 0]), _LITTLE, _CRC]),
                options={"compressors": [_codec("gzip", level=1)]},
            ),
        ),
    ),
    Row(
        "`zstd`, `gzip`",
        BYTES,
        "",
        (
            _compressed(_codec("zstd", level=3, checksum=True)),
            _compressed(_codec("gzip", level=5)),
        ),
    ),
    Row(
        "`blosc`",
        BYTES,
        "blosclz, lz4, lz4hc, zlib and zstd, and every shuffle",
        tuple(
            _compressed(
                _codec("blosc", cname=name, clevel=5, shuffle=shuffle, typesize=4, blocksize=0)
            )
            for name in BLOSC_NAMES
            for shuffle in ("noshuffle", "shuffle", "bitshuffle")
        ),
    ),
    Row("`crc32c`", BYTES, "with the processor's own instruction", (_compressed(_CRC),)),
    *(
        Row(
            _listed(names, "numcodecs."),
            BYTES,
            remark,
            tuple(
                _compressed(_codec(f"numcodecs.{name}", **configuration), since=WRAPPERS)
                for name in names
                for configuration in _configurations(name)
            ),
        )
        for names, remark in _SETTINGS.items()
    ),
    Row(
        "any other codec, with synchronous methods",
        "any",
        "called on threads of the pool; a subclass of a built-in counts as another codec",
        (
            _filtered("int32", _codec("own.Plus")),
            _serialized(_codec("own.Numbers")),
            _compressed(_codec("own.Invert")),
            _compressed(_codec("own.OwnGzip", level=1)),
            _serialized(_shards(codecs=[_LITTLE, _codec("own.Invert")])),
        ),
        PYTHON,
    ),
    Row(
        "any other codec, with coroutines alone",
        "any",
        "runs on the event loop of the call, up to ten chunks at a time",
        (
            _filtered("int32", _codec("own.AsyncPlus")),
            _serialized(_codec("own.AsyncNumbers")),
            _compressed(_codec("own.AsyncInvert")),
        ),
        PYTHON,
    ),
    Row(
        "a codec that stands alone and reads and writes parts of chunks by itself",
        SERIALIZER,
        "such as a subclass of `ShardingCodec`",
        (_serialized(_shards() | {"name": "own.PartsOfChunks"}),),
        FALLBACK,
        "it reads and writes parts of chunks by itself",
    ),
    Row(
        "other codecs for a shard index than `bytes`, `transpose` and checksums",
        BYTES,
        "",
        (_serialized(_shards(index_codecs=[_LITTLE, _codec("own.SameLength")])),),
        FALLBACK,
        "this bytes-to-bytes codec is not native",
    ),
)

# -- codecs of format 2 -----------------------------------------------------------------------------

FILTER, EITHER = "filter", "filter or compressor"


def _v2(dtype: str, **options: Any) -> Sample:
    return Sample({"dtype": dtype, "zarr_format": 2, "compressors": None, **options})


CODECS_2 = (
    *(
        Row(
            _listed(names),
            EITHER,
            remark.removesuffix(IN_INDEXES),
            tuple(
                _v2("int32", **options)
                for name in names
                for configuration in _configurations(name)
                for options in (
                    {"compressors": {"id": name, **configuration}},
                    {"filters": [{"id": name, **configuration}]},
                )
            ),
        )
        for names, remark in _SETTINGS.items()
    ),
    Row(
        _listed(_FILTERS),
        EITHER,
        "both byte orders; `bitround` in this machine's, and not in memory order F",
        tuple(
            _v2(dtype, filters=[{"id": name, **configuration}])
            for name, (dtype, configuration) in _FILTERS.items()
        ),
    ),
    Row(
        "`pcodec`",
        EITHER,
        "its whole configuration",
        (
            Sample(
                {"zarr_format": 2, "filters": None, "compressors": {"id": "pcodec"}},
                needs="pcodec",
            ),
        ),
    ),
    Row(
        "`vlen-utf8`, `vlen-bytes`",
        "first filter",
        "with text and bytes of variable length",
        (
            _v2("string", filters=[{"id": "vlen-utf8"}]),
            _v2("variable_length_bytes", filters=[{"id": "vlen-bytes"}]),
        ),
    ),
    Row(
        "the same, in combinations for which what NumPy gives is not the same everywhere",
        EITHER,
        _UNLIKE,
        (
            _v2(
                "float32", filters=[{"id": "astype", "decode_dtype": "<f4", "encode_dtype": "<u4"}]
            ),
            _v2("m8[s]", filters=[{"id": "delta", "dtype": "<m8[s]"}]),
        ),
        PYTHON,
    ),
    Row(
        "any other codec",
        EITHER,
        "numcodecs' own, imagecodecs', yours",
        (
            _v2("int32", compressors={"id": "base64"}),
            _v2("int32", filters=[{"id": "base64"}], compressors={"id": "zstd", "level": 1}),
        ),
        PYTHON,
    ),
)

# -- stores -----------------------------------------------------------------------------------------

NEAR, AWAITED = "near", "awaited"


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


def _archive_again(store: Any, directory: Any) -> Any:
    store.close()
    return _zarr_store("ZipStore", directory / "array.zip", mode="r")


def _subclass(directory: Any) -> Any:
    from zarr.storage import LocalStore

    class Own(LocalStore):
        pass

    return Own(directory / "own")


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
        "`WrapperStore` itself around one of them",
        NATIVE,
        lambda path: _zarr_store("WrapperStore", _zarr_store("LocalStore", path / "a")),
    ),
    StoreRow(
        "`ZipStore` that was opened for reading",
        NATIVE,
        _archive,
        "from a path, on POSIX systems; entries stored or deflated",
        reopen=_archive_again,
    ),
    StoreRow(
        "`ObjectStore` over obstore's `LocalStore`",
        NEAR,
        lambda path: _obstore("LocalStore", str(path / "a"), mkdir=True),
    ),
    StoreRow("`ObjectStore` over obstore's `MemoryStore`", NEAR, lambda _: _obstore("MemoryStore")),
    StoreRow(
        "`FsspecStore` over local files",
        NEAR,
        lambda path: _fsspec(f"file://{path / 'a'}", auto_mkdir=True),
    ),
    StoreRow("`FsspecStore` over fsspec's memory", NEAR, lambda path: _fsspec(f"memory://{path}")),
    StoreRow(
        "`LoggingStore` around a `LocalStore` or `MemoryStore`",
        NEAR,
        lambda _: _zarr_store("LoggingStore", _memory(), log_level="ERROR"),
        "awaited before zarr 3.3",
        since="3.3",
    ),
    StoreRow("`ZipStore` that was opened for writing", AWAITED, _archive),
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
        "any other class, subclasses of the above among them",
        AWAITED,
        _subclass,
        "one that changes `get` has to be asked",
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
        "an array that is assigned to one element of variable length",
        "an array is assigned to one element of variable length",
        'z[2, 2] = np.array(["word"], dtype=object)',
        Sample({"dtype": "string"}),
    ),
    Call(
        "missing strings that are written",
        "it has missing strings",
        "z[:] = np.full((12, 10), None, np.dtypes.StringDType(na_object=None))",
        Sample({"dtype": "string"}, needs="numpy.strings"),
    ),
    Call(
        "bytes of variable length: elements of other types",
        "an element is neither bytes nor None",
        "z[:] = np.full((12, 10), 3, dtype=object)",
        Sample({"dtype": "variable_length_bytes"}),
    ),
    Call(
        "chunks of several shapes (rectilinear grids), where a step is in Python",
        "differ in shape",
        "z[:] = 1",
        Sample({"chunks": ((4, 8), (5, 5)), "filters": [_codec("own.Plus")]}, since="3.2"),
    ),
)
