"""The native module. Nothing here is public."""

import contextvars
import os
from collections.abc import Callable
from typing import Any, final

from zarrs._codecs.chain import Chain
from zarrs._codecs.data_types import Equality
from zarrs._codecs.python_calls import Inbox
from zarrs._codecs.python_steps import PythonStep
from zarrs.errors import UnsupportedError as UnsupportedError

__all__ = [
    "Caller",
    "ChunkFormat",
    "LocalStore",
    "Options",
    "OwnedBytes",
    "Pending",
    "RemoteRead",
    "RemoteWrite",
    "Reply",
    "UnsupportedError",
    "ZipStore",
    "cpus",
    "read",
    "shutdown",
    "write",
]

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
        chunk_concurrent_minimum: int,
        chunk_concurrent_maximum: int | None,
        validate_checksums: bool,
    ) -> Options: ...

@final
class Pending:
    """A batch that the pool is still working on."""

    def wake(self, event_loop: Any, call: Callable[[Any], None], future: Any) -> bool: ...
    def cancel(self) -> None: ...
    def result(self) -> Any: ...

@final
class OwnedBytes:
    """Bytes that the engine made, exported through the buffer protocol."""

    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class RemoteRead:
    """A read in progress, of a store that Python awaits."""

    @staticmethod
    def open(
        format: ChunkFormat,
        store: Any,
        items: list[Any],
        path_type: type,
        spec: Any,
        out: Any,
        swap: int | list[tuple[int, int, int]] | None,
        drop_axes: tuple[int, ...],
        options: Options,
        max_gap: int,
        max_bytes: int,
    ) -> RemoteRead | None: ...
    def requests(self) -> list[tuple[int, str, int | None, int | None, int]]: ...
    def feed(
        self, id: int, buffer: Any, own: bool
    ) -> list[tuple[int, str, int | None, int | None, int]]: ...
    def is_idle(self) -> bool: ...
    def is_stopped(self) -> bool: ...
    def backlog(self) -> int: ...
    def stop(self) -> None: ...
    def wake(
        self, event_loop: Any, call: Callable[[Any], None], future: Any, any: bool
    ) -> bool: ...
    def result(self) -> tuple[dict[str, str], ...]: ...

@final
class RemoteWrite:
    """A write in progress, to a store that Python awaits."""

    def __new__(
        cls,
        format: ChunkFormat,
        store: Any,
        items: list[Any],
        path_type: type,
        spec: Any,
        value: Any,
        swap: int | list[tuple[int, int, int]] | None,
        drop_axes: tuple[int, ...],
        options: Options,
    ) -> RemoteWrite: ...
    def chunks(self) -> list[tuple[int, str, bool, int]]: ...
    def feed(self, number: int, buffer: Any, own: bool) -> None: ...
    def take(self) -> list[tuple[int, str, OwnedBytes | None]]: ...
    def is_idle(self) -> bool: ...
    def is_stopped(self) -> bool: ...
    def stop(self) -> None: ...
    def wake(
        self, event_loop: Any, call: Callable[[Any], None], future: Any, any: bool
    ) -> bool: ...
    def result(self) -> None: ...

def read(
    format: ChunkFormat,
    store: tuple[Any, Any],
    items: list[Any],
    path_type: type,
    spec: Any,
    out: Any,
    swap: int | list[tuple[int, int, int]] | None,
    drop_axes: tuple[int, ...],
    options: Options,
) -> tuple[dict[str, str], ...] | Pending | None: ...
def write(
    format: ChunkFormat,
    store: tuple[Any, Any],
    items: list[Any],
    path_type: type,
    spec: Any,
    value: Any,
    swap: int | list[tuple[int, int, int]] | None,
    drop_axes: tuple[int, ...],
    options: Options,
) -> tuple[list[tuple[str, OwnedBytes | None]], BaseException | None] | Pending: ...
def shutdown() -> None: ...
def cpus() -> int: ...
