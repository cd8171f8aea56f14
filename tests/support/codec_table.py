"""Every bytes-to-bytes codec that runs in Rust, with the configurations under test.

One entry for each codec, configuration and Zarr format. Read by the tests, the benchmarks and docs/make_supported.py.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBERS = ("uint8", "int16", "float32", "complex128")
# zarr has the classes of format 3 since 3.1.3.
# Without zarr, names and configurations are still available: docs/make_supported.py needs no more.
HAS_ZARR = find_spec("zarr") is not None
HAS_WRAPPERS = HAS_ZARR and find_spec("zarr.codecs.numcodecs") is not None


@dataclass(frozen=True)
class Entry:
    """One codec in one configuration.

    Attributes
    ----------
    name : str
        The codec's name in array metadata.
    zarr_format : int
        2 (a compressor) or 3 (a bytes-to-bytes codec).
    factory : callable
        Makes the codec.
    configuration : dict
        Arguments of the codec, where they differ from its defaults.
    data_types : tuple of str
        NumPy's names of the data types under test.
    equal_bytes : bool
        Whether the encoded bytes are fully determined, so that they must equal zarr's own.
    checksum : bool
        Whether the codec only adds a checksum, which a read may leave unverified.
    """

    name: str
    zarr_format: int
    factory: Callable[[], Any] = field(compare=False)
    configuration: dict[str, Any] = field(default_factory=dict, compare=False)
    data_types: tuple[str, ...] = NUMBERS
    equal_bytes: bool = False
    checksum: bool = False

    def __str__(self) -> str:
        shown = "-".join(f"{key}={value}" for key, value in self.configuration.items())
        return f"v{self.zarr_format}-{self.name}" + (f"-{shown}" if len(shown) < 40 else "-filters")


LZMA2 = {"id": lzma.FILTER_LZMA2, "preset": 1}
# Name → class name in both formats, `equal_bytes` (other releases of an encoder may compress differently),
# configurations.
BYTES_CODECS: dict[str, tuple[str, bool, list[dict[str, Any]]]] = {
    "blosc": (
        "Blosc",
        False,
        [
            {},
            *({"cname": name} for name in ("blosclz", "lz4hc", "zlib", "zstd")),
            {"shuffle": 0},
            {"shuffle": 2, "clevel": 9},
            {"shuffle": -1, "blocksize": 256},
            {"typesize": 3},
        ],
    ),
    "zstd": ("Zstd", False, [{}, {"level": 9, "checksum": True}, {"level": -3}]),
    "gzip": ("GZip", False, [{}, {"level": 0}, {"level": 9}]),
    "zlib": ("Zlib", False, [{}, {"level": 0}, {"level": -1}, {"level": 9}]),
    "bz2": ("BZ2", False, [{}, {"level": 9}]),
    "lz4": ("LZ4", False, [{}, {"acceleration": 20}, {"acceleration": -1}]),
    "lzma": (
        "LZMA",
        False,
        [
            {},
            {"preset": 0},
            {"preset": 9 | lzma.PRESET_EXTREME},
            *({"check": check} for check in (lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_SHA256)),
            {"format": lzma.FORMAT_ALONE},
            {"format": lzma.FORMAT_ALONE, "preset": 2},
            {"format": lzma.FORMAT_RAW, "filters": [LZMA2]},
            {
                "format": lzma.FORMAT_RAW,
                "filters": [{"id": lzma.FILTER_LZMA1, "lc": 1, "lp": 2, "pb": 0}],
            },
            {"format": lzma.FORMAT_RAW, "filters": [{"id": lzma.FILTER_DELTA, "dist": 4}, LZMA2]},
            {
                "format": lzma.FORMAT_RAW,
                "filters": [
                    {"id": lzma.FILTER_X86, "start_offset": 16},
                    {"id": lzma.FILTER_DELTA},
                    {
                        "id": lzma.FILTER_LZMA2,
                        "dict_size": 1 << 16,
                        "mode": lzma.MODE_FAST,
                        "mf": lzma.MF_HC4,
                        "nice_len": 20,
                        "depth": 5,
                    },
                ],
            },
        ],
    ),
    "shuffle": ("Shuffle", True, [{}, {"elementsize": 1}, {"elementsize": 2}, {"elementsize": 0}]),
    "crc32": ("CRC32", True, [{}, {"location": "end"}]),
    "crc32c": ("CRC32C", True, [{}, {"location": "start"}]),
    "adler32": ("Adler32", True, [{}, {"location": "end"}]),
    "fletcher32": ("Fletcher32", True, [{}]),
    "jenkins_lookup3": ("JenkinsLookup3", True, [{}, {"initval": 0xFFFFFFFF}, {"initval": 7}]),
}
CHECKSUMS = {"crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3"}


def _factory(class_name: str, zarr_format: int, configuration: dict[str, Any]) -> Callable[[], Any]:
    def make() -> Any:
        if zarr_format == 3:
            from zarr.codecs import numcodecs as wrappers

            return getattr(wrappers, class_name)(**configuration)
        import numcodecs
        import numcodecs.checksum32

        module = numcodecs if hasattr(numcodecs, class_name) else numcodecs.checksum32
        return getattr(module, class_name)(**configuration)

    return make


def _entries() -> list[Entry]:
    made = []
    for zarr_format in (2, 3) if HAS_WRAPPERS else (2,):
        for name, (class_name, equal, configurations) in BYTES_CODECS.items():
            for configuration in configurations:
                entry = Entry(
                    name if zarr_format == 2 else f"numcodecs.{name}",
                    zarr_format,
                    _factory(class_name, zarr_format, configuration),
                    configuration,
                    equal_bytes=equal,
                    checksum=name in CHECKSUMS,
                )
                made.append(entry)
    return made


TABLE: list[Entry] = _entries()
