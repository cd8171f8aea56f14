"""The native module. Nothing here is public."""

import contextvars
import os
from collections.abc import Callable
from typing import Any, TypeAlias, final

import numpy as np

from zarrs._codecs.chain import Chain
from zarrs._codecs.data_types import Equality
from zarrs._codecs.python_calls import Inbox
from zarrs._codecs.python_steps import PythonStep
from zarrs.errors import UnsupportedError as UnsupportedError

_Swap: TypeAlias = int | list[tuple[int, int, int]] | None

__all__ = [
    "Array",
    "Call",
    "Caller",
    "ChunkFormat",
    "LocalStore",
    "MemoryStore",
    "Options",
    "OverlappingOutput",
    "OwnedBytes",
    "Reply",
    "Request",
    "UnsupportedError",
    "ZipStore",
    "cpus",
    "shutdown",
    "store_call_took",
    "store_threads",
]

class OverlappingOutput(Exception):
    """An output whose elements share bytes: NumPy has to assign."""

@final
class Array:
    """An array of one format in one store."""

    def __new__(
        cls,
        format: ChunkFormat,
        store: LocalStore | ZipStore | MemoryStore | None,
        options: Options,
    ) -> Array: ...
    def read(
        self,
        items: list[Any],
        out: np.ndarray[Any, Any],
        swap: _Swap,
        drop_axes: tuple[int, ...],
    ) -> tuple[tuple[dict[str, str], ...] | None, Call | None]: ...
    def write(
        self,
        items: list[Any],
        value: np.ndarray[Any, Any],
        swap: _Swap,
        drop_axes: tuple[int, ...],
    ) -> tuple[None, Call | None]: ...

@final
class Call:
    """A read or write that is under way."""

    def requests(self) -> list[Request]: ...
    def feed(self, id: int, buffer: Any, *, dedicated_thread: bool = False) -> list[Request]: ...
    def take(self) -> list[tuple[int, str, OwnedBytes | None]]: ...
    def backlog(self) -> int: ...
    def is_idle(self) -> bool: ...
    def is_stopped(self) -> bool: ...
    def wake(
        self,
        event_loop: Any,
        callback: Callable[[Any], None],
        future: Any,
        *,
        at_unit: bool = False,
    ) -> bool: ...
    def cancel(self) -> None: ...
    def result(self) -> tuple[dict[str, str], ...] | None: ...

@final
class Request:
    """One request to a store in Python."""

    @property
    def id(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def start(self) -> int | None: ...
    @property
    def end(self) -> int | None: ...
    @property
    def size(self) -> int: ...
    @property
    def needed(self) -> bool: ...

@final
class MemoryStore:
    """The objects of one `zarr.storage.MemoryStore`, or those below a prefix of it."""

    def __new__(cls, objects: dict[str, Any], prefix: str) -> MemoryStore: ...

@final
class Reply:
    """Where a thread waits for what an event loop makes of its wish."""

    def finish(self, value: Any) -> None: ...
    def fail(self, error: BaseException) -> None: ...

@final
class Caller:
    """What Python codecs may ask of the call that they work for."""

    @property
    def inbox(self) -> Inbox: ...
    @property
    def context(self) -> contextvars.Context: ...
    def wanted(self) -> list[tuple[PythonStep, bool, Any, Reply]]: ...

@final
class ChunkFormat:
    """What all chunks of an array have in common, ready to run."""

    def __new__(
        cls,
        chain: Chain,
        *,
        item_size: int,
        fill: bytes,
        equality: Equality,
        big_endian: bool,
    ) -> ChunkFormat: ...
    @staticmethod
    def of_variable_length(chain: Chain, *, fill: bytes, utf8: bool) -> ChunkFormat: ...
    @property
    def calls_python(self) -> bool: ...

@final
class LocalStore:
    """The files of one `zarr.storage.LocalStore`."""

    def __new__(
        cls, root: str | os.PathLike[str], direct_io: bool, file_handle_cache_size: int
    ) -> LocalStore: ...
    def direct_io_refused(self) -> bool: ...

@final
class ZipStore:
    """The archive that one `zarr.storage.ZipStore` has open for reading."""

    def __new__(
        cls, descriptor: int, path: str | os.PathLike[str], start: int, names: int
    ) -> ZipStore: ...

@final
class Options:
    """What a call takes from the configuration."""

    def __new__(
        cls,
        *,
        threads: int,
        chunk_concurrent_maximum: int | None,
        validate_checksums: bool,
    ) -> Options: ...

@final
class OwnedBytes:
    """Bytes that the engine made, exported through the buffer protocol."""

    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def store_threads(requests: int, bytes: int, *, is_write: bool, most: int) -> int: ...
def store_call_took(seconds: float) -> None: ...
def shutdown() -> None: ...
def cpus() -> int: ...
