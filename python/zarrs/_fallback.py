"""The way back to zarr-python's own pipeline, with its reason kept: logged, counted, warned about on demand."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

from zarr.core import codec_pipeline as zarr_pipelines
from zarr.core.config import config as zarr_config

from zarrs._codecs import evolve, split

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zarr.abc.codec import Codec, CodecPipeline
    from zarr.core.array_spec import ArraySpec

    from zarrs._config import Configuration
    from zarrs.errors import UnsupportedError

logger = logging.getLogger("zarrs")

# Calls by where they ran; tests and `zarr-python`'s own suite read it. Increments may race: it counts, it does not decide.
counters: dict[str, Any] = {"rust": 0, "fallback": {}}

# Reasons told already, each once in a process.
_logged: set[str] = set()
_warned: set[str] = set()


def pipeline(codecs: Iterable[Codec], spec: ArraySpec | None) -> CodecPipeline:
    """zarr's own pipeline for `codecs`: the fused one where this release has it, else the batched one.

    Built without zarr's advice on codec combinations, which the user has had already.
    """
    codecs = tuple(codecs)
    fused = getattr(zarr_pipelines, "FusedCodecPipeline", None)
    if fused is None and spec is not None:
        codecs = evolve(codecs, spec)
    arrays, serializer, steps = split(codecs)
    parts = {
        "array_array_codecs": arrays,
        "array_bytes_codec": serializer,
        "bytes_bytes_codecs": steps,
        "batch_size": zarr_config.get("codec_pipeline.batch_size"),
    }
    if fused is None:
        return zarr_pipelines.BatchedCodecPipeline(**parts)
    made: CodecPipeline = fused(codecs=codecs, sync_transform=None, **parts)
    return made if spec is None else made.evolve_from_array_spec(spec)


def record(reason: UnsupportedError, configuration: Configuration) -> None:
    """Notes that a call goes to zarr's own pipeline."""
    text = f"{reason.what}: {reason.reason}"
    fallbacks = counters["fallback"]
    fallbacks[text] = fallbacks.get(text, 0) + 1
    if text not in _logged:
        _logged.add(text)
        logger.info("zarr-python's own pipeline takes over for %s", text)
    if configuration.warn_fallback and text not in _warned:
        _warned.add(text)
        warnings.warn(
            f"zarr-python's own pipeline takes over for {text}", UserWarning, stacklevel=4
        )
