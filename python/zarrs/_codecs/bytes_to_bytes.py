"""Compressors, checksums and shuffle, zarr's own and numcodecs', as native steps: one row of `_CODECS` for each class.

A codec counts as known by its exact class, with a configuration of plain numbers; any other is left to its own code.
Filters that change a data type are in ``numbers``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

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
from packaging.version import Version
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ZstdCodec

from zarrs._codecs.chain import Step
from zarrs._codecs.describing import describes, name_of
from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    # What the engine is told of a codec that is given elements of a data type.
    Reader = Callable[[Any, np.dtype[Any]], dict[str, Any]]

_INT = (-(2**31), 2**31 - 1)
_UNSIGNED = (0, 2**32 - 1)
_BYTE = np.dtype("uint8")
# Where zarr has its classes around numcodecs' codecs, by release.
_WRAPPER_MODULES = ("zarr.codecs.numcodecs._codecs", "numcodecs.zarr3")


class _UnknownError(Exception):
    """A configuration that the engine does not take."""


class _Row(NamedTuple):
    """A codec of ``src/codec/table.rs``: its name there, and how its parameters are read."""

    name: str
    read: Reader
    # Whether it adds a fixed number of bytes, as codecs of a shard index have to.
    fixed_size: bool = False


@describes
def step_of(codec: Any) -> Step:
    """The step of a bytes-to-bytes codec of format 3.

    Raises
    ------
    UnsupportedError
        If its class or its configuration is not known.
    """
    # Bytes are all that such a codec sees.
    step = bytes_step(codec, _BYTE) or wrapped_step(codec)
    if step is None:
        raise UnsupportedError(name_of(codec), "this bytes-to-bytes codec is not native")
    return step


def wrapped_step(codec: Any) -> Step | None:
    """The step of `codec`, one of zarr's classes around numcodecs' codecs in format 3; None if it is none.

    Raises what numcodecs raises if it refuses the configuration.
    """
    return bytes_step(codec._codec, _BYTE) if is_wrapper(type(codec)) else None


def is_wrapper(kind: type) -> bool:
    """Whether `kind` is one of zarr's own classes around numcodecs' codecs."""
    module = sys.modules.get(kind.__module__) if kind.__module__ in _WRAPPER_MODULES else None
    return module is not None and getattr(module, kind.__name__, None) is kind


def bytes_step(codec: Any, dtype: np.dtype[Any]) -> Step | None:
    """The step of `codec` that is given elements of `dtype`; None if its class or its configuration is not known."""
    row = _CODECS.get(type(codec))
    if row is None:
        return None
    try:
        return Step(row.name, row.read(codec, dtype))
    except _UnknownError:
        return None


def has_fixed_size(step: Step) -> bool:
    """Whether `step` adds a fixed number of bytes, as codecs of a shard index have to."""
    return step.name in _FIXED_SIZE


# -- how parameters are read -------------------------------------------------------------------------------------------


def _reader(**parameters: Callable[[Any], Any]) -> Reader:
    """Reads the attributes that are called as `parameters`, each by its own function."""

    def read(codec: Any, _: np.dtype[Any]) -> dict[str, Any]:
        return {name: value(getattr(codec, name, None)) for name, value in parameters.items()}

    return read


def _integer(value: Any, bounds: tuple[int, int] = _INT) -> int:
    if not isinstance(value, (int, np.integer)) or not bounds[0] <= value <= bounds[1]:
        raise _UnknownError
    return int(value)


def _unsigned(value: Any) -> int:
    return _integer(value, _UNSIGNED)


def _size(value: Any) -> int:
    return max(_integer(value), 0)


def _location(value: Any) -> str:
    return "start" if value == "start" else "end"


def _prefix(value: Any) -> bytes:
    return b"" if value is None else bytes(value.tobytes())


# -- lzma --------------------------------------------------------------------------------------------------------------

_LZMA_OPTIONS = {"preset", "dict_size", "lc", "lp", "pb", "mode", "nice_len", "mf", "depth"}
# Python's `lzma` knows these filters: delta, six kinds of machine code, LZMA2 and LZMA1.
_FILTER_OPTIONS: dict[int, set[str]] = {
    0x03: {"dist"},
    **{number: {"start_offset"} for number in range(0x04, 0x0A)},
    0x21: _LZMA_OPTIONS,
    0x4000000000000001: _LZMA_OPTIONS,
}


def _container(value: Any) -> int:
    return _integer(value, (0, 3))


def _preset(value: Any) -> int | None:
    return None if value is None else _unsigned(value)


def _filters(filters: Any) -> list[dict[str, int]] | None:
    if filters is None:
        return None
    if not isinstance(filters, (list, tuple)):
        raise _UnknownError
    described = []
    for options in filters:
        number = options.get("id") if type(options) is dict else None
        if type(number) is not int or number not in _FILTER_OPTIONS:
            raise _UnknownError
        if not options.keys() <= _FILTER_OPTIONS[number] | {"id"}:
            raise _UnknownError
        values = {name: _unsigned(options[name]) for name in options if name != "id"}
        described.append({"id": number, **values})
    return described


# -- blosc -------------------------------------------------------------------------------------------------------------

_BLOSC_COMPRESSORS = {"blosclz", "lz4", "lz4hc", "zlib", "zstd"}
_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
# Older releases of numcodecs know no typesize; zarr then compresses bytes of size one.
_BLOSC_HAS_TYPESIZE = Version(numcodecs.__version__) >= Version("0.16.0")


def _blosc(codec: Any, dtype: np.dtype[Any]) -> dict[str, Any]:
    # Releases without a type size of their own have no such attribute.
    typesize = getattr(codec, "_typesize", None)
    return _blosc_parameters(
        cname=codec.cname if isinstance(codec.cname, str) else codec.cname.decode(),
        clevel=_integer(codec.clevel),
        shuffle=_integer(codec.shuffle),
        blocksize=_integer(codec.blocksize),
        typesize=_integer(typesize if isinstance(typesize, int) else dtype.itemsize),
    )


def _zarr_blosc(codec: Any, _: np.dtype[Any]) -> dict[str, Any]:
    return _blosc_parameters(
        cname=text_of(codec.cname) or "",
        clevel=codec.clevel,
        shuffle=_SHUFFLES[text_of(codec.shuffle) or "noshuffle"],
        blocksize=codec.blocksize,
        typesize=codec.typesize if _BLOSC_HAS_TYPESIZE else 1,
    )


def _blosc_parameters(
    *, cname: str, clevel: int, shuffle: int, blocksize: int, typesize: int
) -> dict[str, Any]:
    """The parameters of blosc.

    Raises
    ------
    UnsupportedError
        For a compressor that is not built in, and numbers that blosc has no room for.
    """
    if cname not in _BLOSC_COMPRESSORS:
        raise UnsupportedError("codec blosc", f"the {cname} compressor is not built in")
    if typesize < 1 or not all(_INT[0] <= n <= _INT[1] for n in (clevel, blocksize, typesize)):
        raise UnsupportedError("codec blosc", "one of its numbers is out of range")
    return {
        "cname": cname,
        "clevel": clevel,
        "shuffle": shuffle,
        "blocksize": blocksize,
        "typesize": typesize,
    }


def text_of(value: Any) -> str | None:
    """A codec attribute that is a string from zarr 3.3 on, and an Enum member before."""
    return None if value is None else str(getattr(value, "value", value))


# -- the table ---------------------------------------------------------------------------------------------------------

_CHECKSUM = _reader(location=_location)
_CODECS: dict[type, _Row] = {
    BloscCodec: _Row("blosc", _zarr_blosc),
    Crc32cCodec: _Row("crc32c", _reader(), fixed_size=True),
    GzipCodec: _Row("gzip", _reader(level=_integer)),
    ZstdCodec: _Row("zstd", _reader(level=_integer, checksum=bool)),
    numcodecs.blosc.Blosc: _Row("blosc", _blosc),
    numcodecs.bz2.BZ2: _Row("bz2", _reader(level=_integer)),
    numcodecs.checksum32.Adler32: _Row("numcodecs_adler32", _CHECKSUM, fixed_size=True),
    numcodecs.checksum32.CRC32: _Row("numcodecs_crc32", _CHECKSUM, fixed_size=True),
    numcodecs.checksum32.JenkinsLookup3: _Row(
        "jenkins_lookup3", _reader(initval=_unsigned, prefix=_prefix), fixed_size=True
    ),
    numcodecs.fletcher32.Fletcher32: _Row("fletcher32", _reader(), fixed_size=True),
    numcodecs.gzip.GZip: _Row("gzip", _reader(level=_integer)),
    numcodecs.lz4.LZ4: _Row("lz4", _reader(acceleration=_integer)),
    numcodecs.lzma.LZMA: _Row(
        "lzma", _reader(format=_container, check=_integer, preset=_preset, filters=_filters)
    ),
    numcodecs.shuffle.Shuffle: _Row("shuffle", _reader(elementsize=_size)),
    numcodecs.zlib.Zlib: _Row("zlib", _reader(level=_integer)),
    numcodecs.zstd.Zstd: _Row("zstd", _reader(level=_integer, checksum=bool)),
}
# There only if a package that computes it is.
if hasattr(numcodecs.checksum32, "CRC32C"):
    _CODECS[numcodecs.checksum32.CRC32C] = _Row("numcodecs_crc32c", _CHECKSUM, fixed_size=True)
_FIXED_SIZE = {row.name for row in _CODECS.values() if row.fixed_size}
