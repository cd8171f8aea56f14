"""Errors of this package. Everything else is the exception that zarr-python's own pipeline raises."""

from __future__ import annotations


class UnsupportedError(Exception):
    """Something that the Rust engine leaves to zarr-python's own pipeline.

    Raised only with ``codec_pipeline.strict: True``, at the first read or write. It is neither a ``NotImplementedError``,
    which zarr-python swallows, nor a ``TypeError``, which would hide bugs.

    Attributes
    ----------
    what : str
        The part that is not supported: a codec, a data type, a store, a buffer, a selection.
    reason : str
        Why.
    """

    what: str
    reason: str

    def __init__(self, what: str, reason: str) -> None:
        self.what = what
        self.reason = reason
        super().__init__(what, reason)

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.reason}. zarr-python's own pipeline can do it: it takes over when "
            "`codec_pipeline.strict` is False (now True)."
        )
