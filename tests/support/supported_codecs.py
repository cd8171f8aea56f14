"""The codec tables of docs/supported.md, formats 3 and 2: what runs in Rust, what as a step in Python, what falls back.

``supported`` holds the other tables and defines rows; ``codec_table`` all configurations of numcodecs' bytes codecs.
"""

from __future__ import annotations

from typing import Any

from support.codec_table import BYTES_CODECS
from support.supported import FALLBACK, PYTHON, Row, Sample

WRAPPERS = "3.1.3"  # the first release of zarr with the classes of `zarr.codecs.numcodecs`
BLOSC_NAMES = ("blosclz", "lz4", "lz4hc", "zlib", "zstd")

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


# numcodecs' name → data type of the elements, configuration.
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
_PLATFORM_DEPENDENT = (
    "floats stored as `uint32`; `delta` of booleans, of dates as dates, and between types"
    " without a common integer"
)
# Settings of numcodecs' bytes codecs as shown on the page; names as in `codec_table`.
_SETTINGS = {
    ("blosc", "zstd", "gzip", "zlib", "bz2", "lz4"): "all settings; blosc without snappy",
    ("lzma",): "every `format`, `check` and `preset`, and `filters`",
    ("shuffle",): "every `elementsize`",
    ("crc32", "crc32c", "adler32"): "`location`" + IN_INDEXES,
    ("fletcher32", "jenkins_lookup3"): "`initval` and `prefix`" + IN_INDEXES,
}


_PCODEC = 'every configuration except the deprecated `delta_spec="none"`'


def _listed(names: Any, prefix: str = "") -> str:
    return ", ".join(f"`{prefix}{name}`" for name in names)


def _configurations(name: str) -> list[dict[str, Any]]:
    return BYTES_CODECS[name][2][:2]


CODECS_3 = (
    Row(
        "`transpose`",
        ARRAYS,
        "needs no separate pass",
        (_filtered("int32", _codec("transpose", order=[1, 0])),),
    ),
    Row(
        "`cast_value`",
        ARRAYS,
        "if cast-value-rs 0.5 is installed",
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
        "for integers and floats, with the results of numcodecs and NumPy; `packbits` for booleans",
        tuple(
            _filtered(dtype, _codec(f"numcodecs.{name}", **configuration), since=WRAPPERS)
            for name, (dtype, configuration) in _FILTERS.items()
        ),
    ),
    Row(
        "the same, in combinations whose results in NumPy depend on the platform",
        ARRAYS,
        _PLATFORM_DEPENDENT,
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
        "array-to-array codecs other than `transpose`, before `sharding_indexed`",
        ARRAYS,
        "together with the shards they are one Python step",
        (
            _serialized(_shards(), options={"filters": [_codec("py.Plus")]}),
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
        _PCODEC,
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
        "`vlen-utf8`, `vlen-bytes`",
        SERIALIZER,
        "with `U` and `S`",
        (
            _serialized({"name": "vlen-utf8"}, options={"dtype": "U5"}),
            _serialized({"name": "vlen-bytes"}, options={"dtype": "S3"}),
        ),
        PYTHON,
    ),
    Row(
        "`sharding_indexed`",
        SERIALIZER,
        "index at start or end, nested, inside other codecs, every `subchunk_write_order`",
        (
            _serialized(_shards()),
            _serialized(_shards(index_location="start", index_codecs=[_LITTLE])),
            _serialized(
                _shards(chunk_shape=[4, 5], codecs=[_shards(), _codec("gzip", level=1)]),
                options={"chunks": (8, 10)},
                since="3.1.6",
            ),
            _serialized(
                _shards(codecs=[_codec("transpose", order=[1, 0]), _LITTLE, _CRC]),
                options={"compressors": [_codec("gzip", level=1)]},
                since="3.1.6",
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
    Row("`crc32c`", BYTES, "with the processor's CRC instruction", (_compressed(_CRC),)),
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
        "called on pool threads; a subclass of a built-in codec counts as another codec",
        (
            _filtered("int32", _codec("py.Plus")),
            _serialized(_codec("py.Numbers")),
            _compressed(_codec("py.Invert")),
            _compressed(_codec("py.InvertedGzip", level=1)),
            _serialized(_shards(codecs=[_LITTLE, _codec("py.Invert")])),
        ),
        PYTHON,
    ),
    Row(
        "any other codec, with coroutines only",
        "any",
        "runs on the call's event loop, up to ten chunks at a time",
        (
            _filtered("int32", _codec("py.AsyncPlus")),
            _serialized(_codec("py.AsyncNumbers")),
            _compressed(_codec("py.AsyncInvert")),
        ),
        PYTHON,
    ),
    Row(
        "a codec that is alone in its chain and reads and writes parts of chunks itself",
        SERIALIZER,
        "such as a subclass of `ShardingCodec`",
        (_serialized(_shards() | {"name": "py.PartsOfChunks"}),),
        FALLBACK,
        "it reads and writes parts of chunks by itself",
    ),
    Row(
        "shard indexes with codecs other than `bytes`, `transpose` and checksums",
        "any",
        "whole shards are one Python step",
        (_serialized(_shards(index_codecs=[_LITTLE, _codec("py.SameLength")])),),
        PYTHON,
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
        "both byte orders; `bitround` only in native byte order and not with memory order F",
        tuple(
            _v2(dtype, filters=[{"id": name, **configuration}])
            for name, (dtype, configuration) in _FILTERS.items()
        ),
    ),
    Row(
        "`pcodec`",
        EITHER,
        _PCODEC,
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
        "with text and bytes of variable length; the next codec receives bytes",
        (
            _v2("string", filters=[{"id": "vlen-utf8"}]),
            _v2("string", filters=[{"id": "vlen-utf8"}, {"id": "zstd", "level": 1}]),
            _v2("variable_length_bytes", filters=[{"id": "vlen-bytes"}]),
        ),
    ),
    Row(
        "the same, in combinations whose results in NumPy depend on the platform",
        EITHER,
        _PLATFORM_DEPENDENT,
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
        "from numcodecs, imagecodecs or your own",
        (
            _v2("int32", compressors={"id": "base64"}),
            _v2("int32", filters=[{"id": "base64"}], compressors={"id": "zstd", "level": 1}),
            _v2("string", filters=[{"id": "vlen-utf8"}], compressors={"id": "base64"}),
        ),
        PYTHON,
    ),
)
