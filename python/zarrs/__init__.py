"""A Rust codec pipeline for zarr-python: the same answers, sooner.

Switch it on with one line::

    import zarr
    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
"""

from __future__ import annotations

from zarrs._explain import Explanation, explain
from zarrs._pipeline import ZarrsCodecPipeline
from zarrs.errors import UnsupportedError

__version__ = "0.1.0"

__all__ = ["Explanation", "UnsupportedError", "ZarrsCodecPipeline", "__version__", "explain"]

# zarr finds the class by its qualified name, and that is where users look for it.
ZarrsCodecPipeline.__module__ = "zarrs"
UnsupportedError.__module__ = "zarrs"
Explanation.__module__ = "zarrs"
