"""The configuration of one call, read from ``zarr.config`` into one frozen object. Nothing else reads it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from zarr.core.config import config as zarr_config

PIPELINE_KEYS = (
    "strict",
    "validate_checksums",
    "chunk_concurrent_maximum",
    "chunk_concurrent_minimum",
    "direct_io",
    "file_handle_cache_size",
    "requests_maximum",
    "warn_fallback",
    "max_workers",
)

_MISSING: dict[str, Any] = {}


@dataclass(frozen=True)
class Configuration:
    """What a call takes from ``zarr.config``; see ``docs/configuration.md`` for each key."""

    strict: bool = False
    validate_checksums: bool = True
    chunk_concurrent_maximum: int | None = None
    chunk_concurrent_minimum: int = 4
    direct_io: bool = False
    file_handle_cache_size: int = 0
    requests_maximum: int = 256
    warn_fallback: bool = False
    max_workers: int | None = None


_last: tuple[tuple[Any, ...], Configuration] | None = None


def current() -> Configuration:
    """The configuration as it is now."""
    global _last
    # Through the nested dictionary: `config.get` costs as much as a small read.
    tree = zarr_config.config
    pipeline = tree.get("codec_pipeline", _MISSING)
    threading = tree.get("threading", _MISSING)
    values = (*map(pipeline.get, PIPELINE_KEYS), threading.get("max_workers"))
    last = _last
    if last is not None and last[0] == values:
        return last[1]
    configuration = _parse(values)
    _last = (values, configuration)
    return configuration


def _parse(values: tuple[Any, ...]) -> Configuration:
    raw = dict(zip(PIPELINE_KEYS, values, strict=False))
    default = Configuration()
    max_workers = _count("codec_pipeline.max_workers", raw["max_workers"], None, least=1)
    if max_workers is None:
        max_workers = _count("threading.max_workers", values[-1], None, least=1)
    minimum = _count(
        "codec_pipeline.chunk_concurrent_minimum",
        raw["chunk_concurrent_minimum"],
        default.chunk_concurrent_minimum,
        least=1,
    )
    cache = _count(
        "codec_pipeline.file_handle_cache_size",
        raw["file_handle_cache_size"],
        default.file_handle_cache_size,
        least=0,
    )
    requests = _count(
        "codec_pipeline.requests_maximum",
        raw["requests_maximum"],
        default.requests_maximum,
        least=1,
    )
    return Configuration(
        strict=_flag("strict", raw["strict"], default.strict),
        validate_checksums=_flag(
            "validate_checksums", raw["validate_checksums"], default.validate_checksums
        ),
        chunk_concurrent_maximum=_count(
            "codec_pipeline.chunk_concurrent_maximum",
            raw["chunk_concurrent_maximum"],
            None,
            least=1,
        ),
        chunk_concurrent_minimum=default.chunk_concurrent_minimum if minimum is None else minimum,
        direct_io=_flag("direct_io", raw["direct_io"], default.direct_io),
        file_handle_cache_size=default.file_handle_cache_size if cache is None else cache,
        requests_maximum=default.requests_maximum if requests is None else requests,
        warn_fallback=_flag("warn_fallback", raw["warn_fallback"], default.warn_fallback),
        max_workers=max_workers,
    )


def _flag(name: str, value: Any, default: bool) -> bool:
    if value is None or isinstance(value, bool):
        return default if value is None else value
    if value in (0, 1):
        return bool(value)
    _ignore(f"codec_pipeline.{name}", value, "True or False", default)
    return default


def _count(key: str, value: Any, default: int | None, *, least: int) -> int | None:
    if value is None:
        return default
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    _ignore(key, value, f"an integer from {least} on, or None", default)
    return default


def _ignore(key: str, value: Any, expected: str, default: Any) -> None:
    warnings.warn(
        f"Ignoring `{key}` = {value!r}: expected {expected}; using {default!r}.",
        UserWarning,
        stacklevel=5,
    )
