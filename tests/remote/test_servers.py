"""Servers on the loopback interface: S3 through obstore and s3fs, HTTP and HTTPS with headers. No internet access.

Claims that hold for every kind of store are in test_stores.py.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np
import obstore.exceptions
import obstore.store
import pytest
import zarr
from zarr.storage import FsspecStore, LocalStore, ObjectStore, WrapperStore

from support.agreement import DATA, LAYOUTS, SHAPE, check_reads, check_store
from support.loopback import HEADERS
from support.stores import http_store, s3_store

if TYPE_CHECKING:
    from support.loopback import S3, Web

numbers = itertools.count()


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


# -- S3 ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["obstore", "s3fs"])
def bucket(request: pytest.FixtureRequest, s3: S3) -> Any:
    """A store under an unused prefix."""
    return s3_store(s3, request.param, f"run-{next(numbers)}")


@pytest.mark.parametrize("name", ["plain", "sharded"])
def test_s3_agrees_with_numpy_and_zarr(bucket, name, oracle) -> None:
    check_store(bucket, LAYOUTS[name], oracle)


def test_an_array_written_by_one_s3_client_is_read_by_the_other(s3, layout) -> None:
    prefix = f"run-{next(numbers)}"
    for writer, reader in (("obstore", "s3fs"), ("s3fs", "obstore")):
        array = zarr.create_array(
            s3_store(s3, writer, prefix), name=writer, shape=SHAPE, dtype="int32", **layout
        )
        array[:] = DATA
        check_reads(zarr.open_array(s3_store(s3, reader, prefix), path=writer, mode="r"))


def test_missing_objects_of_s3_read_as_fill_value(bucket, layout) -> None:
    array = zarr.create_array(bucket, shape=SHAPE, dtype="int32", fill_value=9, **layout)
    assert (array[:] == 9).all()
    assert array[3, 3] == 9
    array[3, 3] = 1
    assert (array[3:5, 3] == [1, 9]).all()


def test_a_bucket_that_does_not_exist_behaves_as_under_zarr(s3, oracle) -> None:
    array = zarr.create_array(
        s3_store(s3, "obstore", "here"), shape=(4,), chunks=(2,), dtype="i4", overwrite=True
    )
    nowhere = obstore.store.S3Store(
        "nowhere",
        endpoint=s3.endpoint,
        access_key_id="key",
        secret_access_key="secret",
        region="us-east-1",
        client_options={"allow_http": True},
    )
    moved = moved_to(array, ObjectStore(nowhere))
    with oracle():
        theirs = outcome(moved_to(zarr.open_array(array.store), ObjectStore(nowhere)))
    np.testing.assert_array_equal(outcome(moved), theirs)


def moved_to(array: zarr.Array[Any], store: Any) -> zarr.Array[Any]:
    """The array as if its metadata were in `store`."""
    return zarr.Array(zarr.AsyncArray(array.metadata, zarr.storage.StorePath(store)))


def outcome(array: zarr.Array[Any]) -> Any:
    try:
        return array[:]
    except Exception as error:
        return type(error).__name__


# -- HTTP -------------------------------------------------------------------------------------------


KINDS = ["obstore, http", "obstore, https", "fsspec, http", "fsspec, https"]


def publish(web: Web, layout: dict[str, Any], data: np.ndarray[Any, Any] = DATA) -> str:
    path = f"array-{next(numbers)}"
    store = LocalStore(web.files / path)
    zarr.create_array(store, shape=data.shape, dtype=data.dtype, **layout)[:] = data
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_http_with_headers_agrees_with_numpy_and_zarr(web, kind, layout, oracle) -> None:
    holed = DATA.copy()
    holed[:16, :10] = 0
    path = publish(web, layout, holed)
    store = http_store(web, kind, path)
    check_reads(zarr.open_array(store, mode="r"), holed)
    with oracle():
        check_reads(zarr.open_array(store, mode="r"), holed)
    check_reads(zarr.open_array(WrapperStore(store), mode="r"), holed)
    with pytest.raises(ValueError, match="read"):
        zarr.open_array(store, mode="r")[0] = 1


def test_headers_are_sent_and_required(web, layout) -> None:
    path = publish(web, layout)
    with pytest.raises(Exception, match="403"):
        zarr.open_array(FsspecStore.from_url(f"{web.http}/{path}", read_only=True), mode="r")
    check_reads(zarr.open_array(f"{web.http}/open/{path}", mode="r"))
    options = {"headers": HEADERS}
    check_reads(zarr.open_array(f"{web.http}/{path}", mode="r", storage_options=options))


@pytest.mark.parametrize("place", ["broken", ""])
@pytest.mark.parametrize("client", ["obstore", "fsspec"])
def test_a_server_that_refuses_or_fails_is_an_error_not_a_missing_chunk(
    web, client, place, layout
) -> None:
    # Without the header every response is 403; under /broken/ it is 500.
    path = publish(web, layout)
    url = f"{web.http}/{place}/{path}" if place else f"{web.http}/{path}"
    store: Any
    if client == "obstore":
        store = ObjectStore(
            obstore.store.HTTPStore(
                url, client_options={"allow_http": True}, retry_config={"max_retries": 0}
            ),
            read_only=True,
        )
        error: Any = (obstore.exceptions.BaseError, OSError)
    else:
        store = FsspecStore.from_url(url, read_only=True)
        error = aiohttp.ClientResponseError
    array = moved_to(zarr.open_array(web.files / path), store)
    for selection in ((slice(None), slice(None)), (slice(1, 20), slice(3, 9)), (1, 1)):
        with pytest.raises(error):
            array[selection]


def test_many_requests_at_once_over_http(web) -> None:
    data = np.arange(300 * 4, dtype="int32").reshape(300, 4)
    path = publish(web, {"chunks": (1, 4)}, data)
    for kind in KINDS[:1] + KINDS[2:3]:
        with zarr.config.set({"async.concurrency": 64}):
            array = zarr.open_array(http_store(web, kind, path), mode="r")
            np.testing.assert_array_equal(array[:], data)
