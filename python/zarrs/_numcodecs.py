"""numcodecs' compressors and checksums as steps of the engine (their layout: ``src/bindings/chunk_format.rs``).

A codec counts as known by its exact class, with a configuration of plain numbers; whatever else it is left to numcodecs.
Filters that change a data type are not in here.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numcodecs
import numcodecs.blosc
import numcodecs.bz2
import numcodecs.checksum32
import numcodecs.fletcher32
import numcodecs.gzip
import numcodecs.lz4
import numcodecs.lzma
import numcodecs.shuffle
import numcodecs.zlib
import numcodecs.zstd
import numpy as np

from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    Step = tuple[Any, ...]

_INT = (-(2**31), 2**31 - 1)
_UNSIGNED = (0, 2**32 - 1)
_BYTE = np.dtype("uint8")
# Where zarr has its classes around numcodecs' codecs, by release.
_WRAPPER_MODULES = ("zarr.codecs.numcodecs._codecs", "numcodecs.zarr3")
_WRAPPERS = {
    "Adler32",
    "Blosc",
    "BZ2",
    "CRC32",
    "CRC32C",
    "Fletcher32",
    "GZip",
    "JenkinsLookup3",
    "LZ4",
    "LZMA",
    "Shuffle",
    "Zlib",
    "Zstd",
}
_CHECKSUMS = {
    "fletcher32",
    "jenkins_lookup3",
    "numcodecs_adler32",
    "numcodecs_crc32",
    "numcodecs_crc32c",
}
_BLOSC_COMPRESSORS = {"blosclz", "lz4", "lz4hc", "zlib", "zstd"}
_LZMA_OPTIONS = {"preset", "dict_size", "lc", "lp", "pb", "mode", "nice_len", "mf", "depth"}
# Python's `lzma` knows these filters: delta, six kinds of machine code, LZMA2 and LZMA1.
_FILTER_OPTIONS: dict[int, set[str]] = {
    0x03: {"dist"},
    **{number: {"start_offset"} for number in range(0x04, 0x0A)},
    0x21: _LZMA_OPTIONS,
    0x4000000000000001: _LZMA_OPTIONS,
}


class _UnknownError(Exception):
    """A configuration that the engine does not take."""


def bytes_step(codec: Any, dtype: np.dtype[Any]) -> Step | None:
    """The step of `codec`, a codec of numcodecs that is given elements of `dtype`.

    Returns
    -------
    tuple or None
        None if its class or its configuration is not known.
    """
    describe = _STEPS.get(type(codec))
    if describe is None:
        return None
    try:
        return describe(codec, dtype)
    except _UnknownError:
        return None


def wrapped_step(codec: Any) -> Step | None:
    """The step of `codec`, one of zarr's classes for numcodecs' codecs in format 3; None if it is none.

    Raises what numcodecs raises if it refuses the configuration.
    """
    kind = type(codec)
    module = sys.modules.get(kind.__module__) if kind.__module__ in _WRAPPER_MODULES else None
    if kind.__name__ not in _WRAPPERS or getattr(module, kind.__name__, None) is not kind:
        return None
    # Bytes are all that such a codec sees.
    return bytes_step(codec._codec, _BYTE)


def is_checksum(step: Step) -> bool:
    """Whether `step` adds a fixed number of bytes, as codecs of a shard index have to."""
    return step[0] in _CHECKSUMS


def _integer(value: Any, bounds: tuple[int, int] = _INT) -> int:
    if not isinstance(value, (int, np.integer)) or not bounds[0] <= value <= bounds[1]:
        raise _UnknownError
    return int(value)


def _zstd(codec: Any, _: np.dtype[Any]) -> Step:
    return ("zstd", _integer(codec.level), bool(getattr(codec, "checksum", False)))


def _gzip(codec: Any, _: np.dtype[Any]) -> Step:
    return ("gzip", _integer(codec.level))


def _zlib(codec: Any, _: np.dtype[Any]) -> Step:
    return ("zlib", _integer(codec.level))


def _blosc(codec: Any, dtype: np.dtype[Any]) -> Step:
    cname = codec.cname if isinstance(codec.cname, str) else codec.cname.decode()
    # Releases without a type size of their own have no such attribute.
    typesize = getattr(codec, "_typesize", None)
    return blosc_step(
        cname,
        _integer(codec.clevel),
        _integer(codec.shuffle),
        _integer(codec.blocksize),
        _integer(typesize if isinstance(typesize, int) else dtype.itemsize),
    )


def blosc_step(cname: str, clevel: int, shuffle: int, blocksize: int, typesize: int) -> Step:
    """The step of blosc.

    Raises
    ------
    UnsupportedError
        For a compressor that is not built in, and numbers that blosc has no room for.
    """
    if cname not in _BLOSC_COMPRESSORS:
        raise UnsupportedError("codec blosc", f"the {cname} compressor is not built in")
    if typesize < 1 or not all(_INT[0] <= n <= _INT[1] for n in (clevel, blocksize, typesize)):
        raise UnsupportedError("codec blosc", "one of its numbers is out of range")
    return ("blosc", cname, clevel, shuffle, blocksize, typesize)


def _lz4(codec: Any, _: np.dtype[Any]) -> Step:
    return ("lz4", _integer(codec.acceleration))


def _bz2(codec: Any, _: np.dtype[Any]) -> Step:
    return ("bz2", _integer(codec.level))


def _lzma(codec: Any, _: np.dtype[Any]) -> Step:
    preset = None if codec.preset is None else _integer(codec.preset, _UNSIGNED)
    filters = None if codec.filters is None else _filters(codec.filters)
    return ("lzma", _integer(codec.format, (0, 3)), _integer(codec.check), preset, filters)


def _filters(filters: Any) -> list[tuple[int, list[tuple[str, int]]]]:
    if not isinstance(filters, (list, tuple)):
        raise _UnknownError
    described = []
    for options in filters:
        number = options.get("id") if type(options) is dict else None
        if type(number) is not int or number not in _FILTER_OPTIONS:
            raise _UnknownError
        if not options.keys() <= _FILTER_OPTIONS[number] | {"id"}:
            raise _UnknownError
        values = [(name, _integer(options[name], _UNSIGNED)) for name in options if name != "id"]
        described.append((number, values))
    return described


def _shuffle(codec: Any, _: np.dtype[Any]) -> Step:
    return ("shuffle", max(_integer(codec.elementsize), 0))


def _checksum(name: str) -> Callable[[Any, np.dtype[Any]], Step]:
    def step(codec: Any, _: np.dtype[Any]) -> Step:
        return (name, codec.location == "start")

    return step


def _fletcher32(_codec: Any, _: np.dtype[Any]) -> Step:
    return ("fletcher32",)


def _jenkins_lookup3(codec: Any, _: np.dtype[Any]) -> Step:
    prefix = b"" if codec.prefix is None else codec.prefix.tobytes()
    return ("jenkins_lookup3", _integer(codec.initval, _UNSIGNED), prefix)


_STEPS: dict[type, Callable[[Any, np.dtype[Any]], Step]] = {
    numcodecs.zstd.Zstd: _zstd,
    numcodecs.gzip.GZip: _gzip,
    numcodecs.zlib.Zlib: _zlib,
    numcodecs.blosc.Blosc: _blosc,
    numcodecs.lz4.LZ4: _lz4,
    numcodecs.bz2.BZ2: _bz2,
    numcodecs.lzma.LZMA: _lzma,
    numcodecs.shuffle.Shuffle: _shuffle,
    numcodecs.checksum32.CRC32: _checksum("numcodecs_crc32"),
    numcodecs.checksum32.Adler32: _checksum("numcodecs_adler32"),
    numcodecs.checksum32.JenkinsLookup3: _jenkins_lookup3,
    numcodecs.fletcher32.Fletcher32: _fletcher32,
}
# There only if a package that computes it is.
_CRC32C = getattr(numcodecs.checksum32, "CRC32C", None)
if _CRC32C is not None:
    _STEPS[_CRC32C] = _checksum("numcodecs_crc32c")
