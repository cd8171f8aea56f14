"""Unmodified clients of zarr-python: dask's threads, processes and clusters, and xarray, over each kind of store.

The stores themselves are tested in remote/test_stores.py and remote/test_servers.py.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import multiprocessing
import os
import warnings
from typing import TYPE_CHECKING, Any

import dask.array as da
import icechunk
import numpy as np
import obstore.store
import pytest
import xarray as xr
import zarr
from zarr.storage import (
    FsspecStore,
    LocalStore,
    LoggingStore,
    MemoryStore,
    ObjectStore,
    WrapperStore,
    ZipStore,
)

from support.loopback import BUCKET, HEADERS, S3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

numbers = itertools.count()
DATA = np.random.default_rng(0).integers(1, 1000, (64, 48), "int32")
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {"chunks": (16, 16)},
    "sharded": {"chunks": (4, 4), "shards": (16, 16)},
}
IN_CHILDREN = {
    "ZARR_CODEC_PIPELINE__PATH": "zarrs.ZarrsCodecPipeline",
    "ZARR_CODEC_PIPELINE__STRICT": "True",
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


def shared_store(kind: str, path: Path, s3: S3) -> Any:
    """A store that other processes can open."""
    prefix = f"clients-{next(numbers)}"
    if kind == "local":
        return LocalStore(path / prefix)
    if kind == "obstore, local":
        return ObjectStore(obstore.store.LocalStore(str(path / prefix), mkdir=True))
    if kind == "obstore, s3":
        return ObjectStore(s3.obstore(prefix))
    return FsspecStore.from_url(f"s3://{BUCKET}/{prefix}", storage_options=s3.options)


SHARED = ["local", "obstore, local", "obstore, s3", "s3fs"]


def check_dask(store: Any, layout: dict[str, Any], **compute: Any) -> None:
    array = zarr.create_array(store, name="in", shape=DATA.shape, dtype="int32", **layout)
    target = zarr.create_array(store, name="out", shape=DATA.shape, dtype="int32", **layout)
    array[:] = DATA
    lazy = da.from_array(array, chunks=(16, 16))
    np.testing.assert_array_equal((lazy + 1).compute(**compute), DATA + 1)
    np.testing.assert_array_equal(
        lazy[5:60:3, [3, 1, 40]].compute(**compute), DATA[5:60:3, [3, 1, 40]]
    )
    da.store(lazy * 2, target, lock=False, **compute)
    np.testing.assert_array_equal(target[:], DATA * 2)


@pytest.mark.parametrize("kind", SHARED)
def test_dask_threads_read_and_write(tmp_path, s3, kind, layout) -> None:
    check_dask(shared_store(kind, tmp_path, s3), layout, scheduler="threads", num_workers=8)


def test_dask_processes_read_and_write(tmp_path, s3, monkeypatch) -> None:
    for key, value in IN_CHILDREN.items():
        monkeypatch.setenv(key, value)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        for kind, name in (("local", "sharded"), ("obstore, s3", "plain")):
            store = shared_store(kind, tmp_path, s3)
            check_dask(store, LAYOUTS[name], scheduler="processes", pool=pool)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    before = {key: os.environ.get(key) for key in IN_CHILDREN}
    os.environ.update(IN_CHILDREN)
    try:
        with LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=":0"
        ) as one:
            with Client(one, set_as_default=False) as client:
                yield client
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


@pytest.mark.parametrize("kind", SHARED)
def test_a_cluster_reads_and_writes(tmp_path, s3, kind, layout, cluster) -> None:
    store = shared_store(kind, tmp_path, s3)
    check_dask(store, layout, scheduler=cluster)
    used = cluster.run(lambda: __import__("zarrs._pipeline")._pipeline.counters["rust"])
    assert all(count > 0 for count in used.values())


# -- xarray -----------------------------------------------------------------------------------------


def dataset() -> xr.Dataset:
    rng = np.random.default_rng(1)
    temperature = rng.normal(280, 10, (20, 12, 10)).astype("float32")
    temperature[3, 4, 5] = np.nan
    return xr.Dataset(
        {
            "temperature": (("time", "y", "x"), temperature, {"units": "K"}),
            "level": (("y", "x"), rng.integers(0, 9, (12, 10), "int16")),
            "scalar": ((), np.float64(3.5)),
        },
        coords={
            "time": np.datetime64("2020-01-01", "ns") + np.arange(20) * np.timedelta64(6, "h"),
            "y": np.linspace(-60, 60, 12),
            "x": np.linspace(0, 90, 10, dtype=">f4"),
        },
    )


ENCODING: dict[str, dict[str, Any]] = {
    "plain": {"temperature": {"chunks": (5, 6, 10)}},
    "sharded": {"temperature": {"chunks": (5, 3, 5), "shards": (10, 6, 10)}},
    "packed": {
        "temperature": {
            "dtype": "int16",
            "scale_factor": 0.01,
            "add_offset": 280.0,
            "_FillValue": -32768,
            "chunks": (5, 6, 10),
        }
    },
}


def xarray_store(kind: str, path: Path, s3: S3) -> Any:
    if kind in SHARED:
        return shared_store(kind, path, s3)
    name = f"xarray-{next(numbers)}"
    return {
        "path": lambda: str(path / name),
        "memory": MemoryStore,
        "obstore, memory": lambda: ObjectStore(obstore.store.MemoryStore()),
        "fsspec, memory": lambda: FsspecStore.from_url(f"memory://{name}"),
        "wrapper": lambda: WrapperStore(MemoryStore()),
        "logging": lambda: LoggingStore(MemoryStore(), log_level="ERROR"),
    }[kind]()


HERE = ["path", "memory", "obstore, memory", "fsspec, memory", "wrapper", "logging"]
CASES = [*itertools.product(HERE, ENCODING), *itertools.product(SHARED, ["sharded"])]


@pytest.mark.parametrize(("kind", "encoding"), CASES)
def test_xarray_writes_appends_and_reads(tmp_path, s3, kind, encoding, oracle) -> None:
    store = xarray_store(kind, tmp_path, s3)
    try:
        # xarray opens arrays read-only; in old releases a wrapper cannot be made read-only.
        store if kind == "path" else store.with_read_only(True)
    except NotImplementedError:
        pytest.skip("cannot be made read-only")
    whole = dataset()
    whole.isel(time=slice(0, 10)).to_zarr(
        store, mode="w", consolidated=False, encoding=ENCODING[encoding]
    )
    whole.isel(time=slice(10, 20)).to_zarr(store, append_dim="time", consolidated=False)
    close = {"rtol": 0, "atol": 0.006 if encoding == "packed" else 0}
    with xr.open_zarr(store, consolidated=False, chunks=None) as found:
        xr.testing.assert_allclose(found.load(), whole, **close)
        with oracle(), xr.open_zarr(store, consolidated=False, chunks=None) as theirs:
            xr.testing.assert_identical(found, theirs.load())
    with xr.open_zarr(store, consolidated=False) as lazy:
        part = lazy.isel(time=slice(2, 18, 3), y=[1, 7, 3]).mean("x")
        expected = found.isel(time=slice(2, 18, 3), y=[1, 7, 3]).mean("x")
        xr.testing.assert_allclose(part.compute(), expected)
    region = whole.isel(time=slice(3, 8), x=slice(2, 9))[["temperature"]] + 1
    region = region.drop_vars(["time", "y", "x"])
    region.to_zarr(
        store,
        region={"time": slice(3, 8), "y": slice(0, 12), "x": slice(2, 9)},
        consolidated=False,
    )
    with xr.open_zarr(store, consolidated=False, chunks=None) as found:
        np.testing.assert_allclose(
            found.temperature[3:8, :, 2:9], whole.temperature[3:8, :, 2:9] + 1, **close
        )
        np.testing.assert_allclose(found.temperature[:3], whole.temperature[:3], **close)


def test_xarray_opens_text_coordinates_without_a_warning_of_the_pipeline(tmp_path, oracle) -> None:
    names = xr.Dataset({"value": ("station", np.arange(3.0))}, {"station": ["a", "bc", "ü"]})

    def warnings_of(name: str, mode: str) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if mode == "w":
                names.to_zarr(tmp_path / name, consolidated=False, zarr_format=3)
            with xr.open_zarr(tmp_path / name, consolidated=False, chunks=None) as found:
                xr.testing.assert_equal(found.load(), names)
        return sorted(str(warning.message) for warning in caught)

    ours = warnings_of("ours", "w")
    with oracle():
        theirs = warnings_of("theirs", "w")
        assert warnings_of("ours", "r") == warnings_of("theirs", "r")
    assert ours == theirs
    assert not any("zarrs" in message for message in ours)


# xarray writes attributes after it has created a node; the archive keeps both entries and warns.
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_xarray_writes_and_reads_zip_files(tmp_path) -> None:
    whole = dataset()
    with ZipStore(tmp_path / "a.zip", mode="w") as store:
        whole.to_zarr(store, mode="w", consolidated=False)
    with ZipStore(tmp_path / "a.zip", mode="r") as store:
        with xr.open_zarr(store, consolidated=False) as found:
            xr.testing.assert_identical(found.load(), whole)


def test_xarray_commits_and_reads_sessions_of_icechunk() -> None:
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repository.writable_session("main")
    whole = dataset()
    whole.to_zarr(session.store, mode="w", consolidated=False, zarr_format=3)
    session.commit("a dataset")
    store = repository.readonly_session("main").store
    with xr.open_zarr(store, consolidated=False) as found:
        xr.testing.assert_identical(found.load(), whole)


def test_xarray_reads_over_http_with_headers(web) -> None:
    whole = dataset()
    name = f"dataset-{next(numbers)}"
    # A web server cannot list keys, so the metadata has to be consolidated, as in format 2.
    whole.to_zarr(web.files / name, mode="w", zarr_format=2, consolidated=True)
    for url, options in (
        (f"{web.http}/{name}", {"headers": HEADERS}),
        (f"{web.http}/open/{name}", None),
    ):
        with xr.open_zarr(url, storage_options=options, consolidated=True) as found:
            xr.testing.assert_identical(found.load(), whole)
