"""Every kind of store in Python, as a table: how it is made, how zarrs accesses it, what it can do.

test_store_contract.py checks the same claims on each. Stores that fail or record requests are in ``recording``.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import zipfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import obstore.store
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import (
    FsspecStore,
    LocalStore,
    LoggingStore,
    MemoryStore,
    ObjectStore,
    WrapperStore,
    ZipStore,
)

from support.loopback import BUCKET, HEADERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from support.loopback import S3, Web

RELEASE = tuple(map(int, zarr.__version__.split(".")[:2]))
METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
# Names of stores and directories that no other test of this process uses.
numbers = itertools.count()


# -- stores -----------------------------------------------------------------------------------------


class UserStore(Store):
    """A user-defined store: coroutines only, over a dictionary. Each suspends before it answers."""

    supports_writes = True
    supports_deletes = True
    supports_listing = True
    # Required by old releases.
    supports_partial_writes = False

    def __init__(self, objects: dict[str, bytes] | None = None, *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self.objects = {} if objects is None else objects

    def with_read_only(self, read_only: bool = False) -> UserStore:
        return type(self)(self.objects, read_only=read_only)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UserStore) and self.objects is other.objects

    __hash__ = None  # type: ignore[assignment]

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        await asyncio.sleep(0)
        data = self.objects.get(key)
        if data is None:
            return None
        if isinstance(byte_range, RangeByteRequest):
            data = data[byte_range.start : byte_range.end]
        elif isinstance(byte_range, OffsetByteRequest):
            data = data[byte_range.offset :]
        elif isinstance(byte_range, SuffixByteRequest):
            data = data[-byte_range.suffix :]
        return prototype.buffer.from_bytes(data)

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> list[Any]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def set_partial_values(self, key_start_values: Any) -> None:
        raise NotImplementedError

    async def exists(self, key: str) -> bool:
        return key in self.objects

    async def set(self, key: str, value: Any) -> None:
        self._check_writable()
        await asyncio.sleep(0)
        self.objects[key] = value.to_bytes()

    async def delete(self, key: str) -> None:
        self._check_writable()
        self.objects.pop(key, None)

    async def list(self) -> AsyncIterator[str]:
        for key in list(self.objects):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        for key in list(self.objects):
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        start = f"{prefix}/" if prefix else ""
        for name in {
            key[len(start) :].split("/")[0] for key in self.objects if key.startswith(start)
        }:
            yield name


def managed_memory(path: str = "") -> Any:
    from zarr.storage import ManagedMemoryStore

    return ManagedMemoryStore(name=f"managed-{next(numbers)}", path=path)


def fsspec_local(path: Path) -> FsspecStore:
    return FsspecStore.from_url(f"file://{path / 'files'}", storage_options={"auto_mkdir": True})


def fsspec_memory() -> FsspecStore:
    return FsspecStore.from_url(f"memory://memory-{next(numbers)}")


def obstore_local(path: Path) -> ObjectStore[Any]:
    return ObjectStore(obstore.store.LocalStore(str(path / "objects"), mkdir=True))


def obstore_memory() -> ObjectStore[Any]:
    return ObjectStore(obstore.store.MemoryStore())


def logged(store: Any) -> Any:
    return LoggingStore(store, log_level="ERROR")


def icechunk_session() -> Any:
    import icechunk

    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    return repository.writable_session("main").store


def s3_store(s3: S3, client: str, prefix: str) -> Any:
    if client == "obstore":
        return ObjectStore(s3.obstore(prefix))
    return FsspecStore.from_url(f"s3://{BUCKET}/{prefix}", storage_options=s3.options)


def http_store(web: Web, kind: str, path: str) -> Any:
    base = web.https if "https" in kind else web.http
    if kind.startswith("obstore"):
        headers = {key.lower(): value for key, value in HEADERS.items()}
        options: Any = {"allow_http": True, "default_headers": headers}
        if "https" in kind:
            options["allow_invalid_certificates"] = True
        return ObjectStore(
            obstore.store.HTTPStore(f"{base}/{path}", client_options=options), read_only=True
        )
    options = {"headers": HEADERS}
    if "https" in kind:
        options["ssl"] = ssl.create_default_context(cafile=web.certificate)
    return FsspecStore.from_url(f"{base}/{path}", storage_options=options, read_only=True)


# -- the table --------------------------------------------------------------------------------------

# How `zarrs.explain` begins its description of the access to a store.
NATIVE, CALLED, AWAITED = "native ", "called from threads ", "awaited in Python "


@dataclass(frozen=True)
class Kind:
    """A kind of store.

    Attributes
    ----------
    make : callable
        An empty store, given an unused directory, or a server and a path there. For a kind that cannot be written, the
        store over objects that were published to that directory or server before.
    access : str
        NATIVE, CALLED or AWAITED.
    publish : callable, optional
        For a kind that cannot be written: puts the objects in place for `make`. Same arguments, then the objects.
    unpublish : callable, optional
        For a kind that cannot be written: deletes one published object. Same arguments, then the key.
    since : tuple of int
        The first release of zarr that has it.
    server : str
        The fixture of the server that it needs.
    formats : tuple of int
        The Zarr formats that it can hold.
    takes_empty_objects : bool
        Whether it can hold an object of zero bytes.
    few_layouts : bool
        Whether two layouts of arrays are enough: for plain wrappers, which only pass calls on, and for slow servers.
    """

    make: Callable[..., Any]
    access: str
    publish: Callable[..., None] | None = None
    unpublish: Callable[..., None] | None = None
    since: tuple[int, int] = (3, 1)
    server: str = ""
    formats: tuple[int, ...] = (2, 3)
    takes_empty_objects: bool = True
    few_layouts: bool = False

    @property
    def is_writable(self) -> bool:
        return self.publish is None

    @property
    def can_lose_objects(self) -> bool:
        return self.is_writable or self.unpublish is not None


def _zip(directory: Path, objects: dict[str, bytes]) -> None:
    with zipfile.ZipFile(directory / "objects.zip", "w") as archive:
        for key, data in objects.items():
            archive.writestr(key, data)


def _serve(web: Web, path: str, objects: dict[str, bytes]) -> None:
    for key, data in objects.items():
        file = web.files / path / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def _stop_serving(web: Web, path: str, key: str) -> None:
    (web.files / path / key).unlink()


def _wrapped(kind: Kind) -> Kind:
    return replace(kind, make=lambda *place: WrapperStore(kind.make(*place)), few_layouts=True)


# zarr calls a logged store synchronously since 3.3.
LOGGED = CALLED if RELEASE >= (3, 3) else AWAITED

LOCAL_KINDS = {
    "LocalStore": Kind(lambda path: LocalStore(path / "store"), NATIVE),
    "MemoryStore": Kind(lambda _: MemoryStore(), NATIVE),
    "ManagedMemoryStore": Kind(lambda _: managed_memory(), NATIVE, since=(3, 2)),
    "ManagedMemoryStore with a path": Kind(
        lambda _: managed_memory("some/path"), NATIVE, since=(3, 2)
    ),
    "ZipStore": Kind(lambda path: ZipStore(path / "objects.zip", mode="r"), NATIVE, _zip),
    "LoggingStore of LocalStore": Kind(lambda path: logged(LocalStore(path / "store")), LOGGED),
    "LoggingStore of MemoryStore": Kind(lambda _: logged(MemoryStore()), LOGGED),
    "obstore local": Kind(obstore_local, CALLED),
    "obstore memory": Kind(lambda _: obstore_memory(), CALLED),
    "fsspec local": Kind(fsspec_local, CALLED),
    "fsspec memory": Kind(lambda _: fsspec_memory(), CALLED),
    "user-defined": Kind(lambda _: UserStore(), AWAITED),
    "icechunk": Kind(
        lambda _: icechunk_session(), AWAITED, formats=(3,), takes_empty_objects=False
    ),
}
SERVER_KINDS = {
    "obstore S3": Kind(
        lambda s3, path: s3_store(s3, "obstore", path), AWAITED, server="s3", few_layouts=True
    ),
    "s3fs": Kind(
        lambda s3, path: s3_store(s3, "s3fs", path), AWAITED, server="s3", few_layouts=True
    ),
    "obstore HTTP": Kind(
        lambda web, path: http_store(web, "obstore, http", path),
        AWAITED,
        _serve,
        _stop_serving,
        server="web",
    ),
    "fsspec HTTP": Kind(
        lambda web, path: http_store(web, "fsspec, http", path),
        AWAITED,
        _serve,
        _stop_serving,
        server="web",
    ),
}
KINDS: dict[str, Kind] = {
    **LOCAL_KINDS,
    **{f"WrapperStore of {name}": _wrapped(kind) for name, kind in LOCAL_KINDS.items()},
    **SERVER_KINDS,
}


def chunks_of(objects: dict[str, bytes]) -> dict[str, bytes]:
    """`objects` without metadata."""
    return {key: data for key, data in objects.items() if not key.endswith(METADATA)}


class Stores:
    """Stores of one kind, each with its own objects."""

    def __init__(self, kind: Kind, directory: Path, server: Any) -> None:
        self.kind = kind
        self._directory = directory
        self._server = server
        self._made: list[tuple[Any, tuple[Any, ...]]] = []

    def holding(self, objects: dict[str, bytes] | None = None) -> Any:
        """Another store, which holds copies of `objects`."""
        objects = objects or {}
        place: tuple[Any, ...]
        if self._server is None:
            place = (self._directory / f"store{next(numbers)}",)
            place[0].mkdir()
        else:
            place = (self._server, f"store{next(numbers)}")
        if self.kind.publish is not None:
            self.kind.publish(*place, objects)
        store = self.kind.make(*place)
        self._made.append((store, place))
        if self.kind.is_writable:
            # Metadata first: icechunk accepts chunks of known arrays only.
            for key in sorted(objects, key=lambda key: not key.endswith(METADATA)):
                self.put(store, key, objects[key])
        return store

    def put(self, store: Any, key: str, data: bytes) -> None:
        sync(store.set(key, default_buffer_prototype().buffer.from_bytes(data)))

    def delete(self, store: Any, key: str) -> None:
        """Deletes an object behind the back of the pipeline."""
        if self.kind.is_writable:
            sync(store.delete(key))
        else:
            place = next(place for made, place in self._made if made is store)
            assert self.kind.unpublish is not None
            self.kind.unpublish(*place, key)

    def chunks_in(self, store: Any) -> dict[str, bytes]:
        """{key: bytes} of all objects in a writable store except metadata, through the store's own methods."""

        async def read() -> dict[str, bytes]:
            keys = [key async for key in store.list() if not key.endswith(METADATA)]
            prototype = default_buffer_prototype()
            return {key: (await store.get(key, prototype)).to_bytes() for key in keys}

        return sync(read())

    def close(self) -> None:
        for store, _ in self._made:
            store.close()
