"""The guard around every function that describes a codec for the engine. Knows no codec."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def describes(describe: Callable[P, R]) -> Callable[P, R]:
    """`describe`, whose first argument is a codec, with every exception turned into an UnsupportedError.

    A codec whose configuration cannot be described stays a Python object. It raises its own error, and only when it is
    used: zarr reads an array without chunks whatever its codecs are.
    """

    @wraps(describe)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return describe(*args, **kwargs)
        except UnsupportedError:
            raise
        except Exception as error:
            raise UnsupportedError(name_of(args[0]), f"it cannot be described: {error}") from None

    return guarded


def name_of(codec: Any) -> str:
    """The name of `codec` in reasons: the one it is stored under, or its class."""
    kind = type(codec)
    name = getattr(codec, "codec_id", None) or getattr(codec, "codec_name", None)
    return f"codec {name or f'{kind.__module__}.{kind.__qualname__}'}"
