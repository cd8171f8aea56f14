"""Arrays written by other programs: zarr-python 2, several releases of 3, and zarrs for Rust.

They are in the directory that ZARRS_INTEROP names, by default ../shared/data/interop beside the repository; its README
states their sources. The oracles are the picture, the list of cities, consecutive numbers and zarr's own pipeline.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Oracle = Callable[[], Any]

ROOT = Path(
    os.environ.get("ZARRS_INTEROP", Path(__file__).parents[2] / "shared" / "data" / "interop")
)
pytestmark = [
    pytest.mark.skipif(not ROOT.is_dir(), reason="no fixtures: set ZARRS_INTEROP to their folder"),
    pytest.mark.filterwarnings("ignore:The data type"),
    pytest.mark.filterwarnings("ignore:The codec"),
    pytest.mark.filterwarnings("ignore:Numcodecs codecs"),
    pytest.mark.filterwarnings("ignore:Object at"),
]

# 10,000 × 1,000 numbers, nearly all of them missing: a part is enough.
LARGE = {"zarrs/hierarchy.zarr/a/foo", "zarrs/hierarchy.zarr/a/baz"}


def documents() -> list[Path]:
    """The metadata document of every array, including those of both formats in one directory."""
    found = sorted([*ROOT.rglob(".zarray"), *ROOT.rglob("zarr.json")])
    return [path for path in found if json.loads(path.read_text()).get("node_type") != "group"]


def open_array(document: Path) -> zarr.Array:
    zarr_format: Any = 2 if document.name == ".zarray" else 3
    return zarr.open_array(
        LocalStore(document.parent, read_only=True), mode="r", zarr_format=zarr_format
    )


def part_of(document: Path) -> Any:
    folder = document.parent.relative_to(ROOT).as_posix()
    return (slice(0, 10), slice(0, 10)) if folder in LARGE else ...


def read_or_refusal(document: Path) -> Any:
    try:
        return np.asarray(open_array(document)[part_of(document)])
    except Exception as error:
        return error


def id_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


DOCUMENTS = documents() if ROOT.is_dir() else []
assert_equal = np.testing.assert_array_equal


@pytest.mark.parametrize("document", DOCUMENTS, ids=id_of)
def test_every_array_reads_as_under_zarrs_own_pipeline(document: Path, oracle: Oracle) -> None:
    with oracle():
        expected = read_or_refusal(document)
    with zarr.config.set({"codec_pipeline.strict": False}):
        actual = read_or_refusal(document)
    if isinstance(expected, Exception):
        assert type(actual) is type(expected)
        assert str(actual) == str(expected)
    else:
        assert not isinstance(actual, Exception), actual
        assert actual.dtype == expected.dtype
        assert_equal(actual, expected)


@pytest.mark.parametrize("document", DOCUMENTS, ids=id_of)
def test_strict_mode_reads_what_zarr_reads(document: Path, oracle: Oracle) -> None:
    with oracle():
        expected = read_or_refusal(document)
    actual = read_or_refusal(document)
    if isinstance(expected, Exception):
        # A codec that zarr-python does not implement, or that is not installed.
        assert type(actual) is type(expected)
    else:
        assert not isinstance(actual, Exception), actual
        assert_equal(actual, expected)


@pytest.mark.parametrize("document", DOCUMENTS, ids=id_of)
def test_a_copy_is_written_as_zarr_writes_it(
    tmp_path: Path, oracle: Oracle, document: Path
) -> None:
    if document.parent.relative_to(ROOT).as_posix() in LARGE:
        pytest.skip("too large to copy for what it shows")
    with oracle():
        if isinstance(read_or_refusal(document), Exception):
            pytest.skip("zarr-python cannot read it")
    copy = Path(shutil.copytree(document.parent, tmp_path / "copy")) / document.name
    zarr_format: Any = 2 if document.name == ".zarray" else 3
    array = zarr.open_array(LocalStore(copy.parent), mode="r+", zarr_format=zarr_format)
    expected = np.asarray(array[...])
    expected[1:] = expected[:-1].copy()
    array[1:] = expected[1:]
    with oracle():
        # Lossy codecs: the values read back are those that the codec kept.
        theirs = Path(shutil.copytree(document.parent, tmp_path / "theirs")) / document.name
        other = zarr.open_array(LocalStore(theirs.parent), mode="r+", zarr_format=zarr_format)
        other[1:] = expected[1:]
        assert_equal(np.asarray(open_array(copy)[...]), np.asarray(open_array(theirs)[...]))


# Values known independently of any reader


def picture() -> npt.NDArray[np.uint8]:
    image = pytest.importorskip("PIL.Image", reason="Pillow decodes the picture")
    with image.open(ROOT / "astronaut" / "reference_image.png") as opened:
        return np.asarray(opened)


@pytest.mark.parametrize("compressor", ["raw", "gzip", "zlib", "blosc"])
def test_the_astronaut_is_the_picture(compressor: str) -> None:
    expected = picture()
    array = zarr.open_array(
        LocalStore(ROOT / "astronaut" / "v2.zarr" / compressor, read_only=True), mode="r"
    )
    assert_equal(array[...], expected)
    assert_equal(array[90:310:7, 333, ::2], expected[90:310:7, 333, ::2])
    rows, columns = [511, 0, 99, 100, 0], [0, 511, 200, 199, 0]
    assert_equal(array.vindex[rows, columns, 1], expected[rows, columns, 1])
    assert_equal(array.oindex[rows, slice(5, 300, 50)], expected[rows, 5:300:50])


# Each program wrote 0, 1, 2, …, except under lossy codecs and codecs that cannot be decoded here.
COUNTED = [
    one
    for one in DOCUMENTS
    if one.parent.name.startswith(("array_", "fletcher32", "adler32"))
    and "zfpy" not in one.parent.name
    and "optional" not in str(one)
] + [one for one in DOCUMENTS if "sharded_array" in str(one)]


@pytest.mark.parametrize("document", COUNTED, ids=id_of)
def test_numbers_are_consecutive(document: Path) -> None:
    array = open_array(document)
    if document.relative_to(ROOT).parts[1] == "array_write_read.zarr":
        pytest.skip("not counted: written in parts by an example")
    expected = np.arange(array.size, dtype=array.dtype).reshape(array.shape)
    assert_equal(array[...], expected)
    assert_equal(array[1:-1, ::3], expected[1:-1, ::3])


@pytest.mark.parametrize(
    "folder",
    ["v3/cities.zarr", "zarr_python_compat/cities_v2.zarr", "zarr_python_compat/cities_v3.zarr"],
)
def test_cities_are_those_of_the_list(folder: str) -> None:
    cities = (ROOT / "zarrs" / "cities.csv").read_text(encoding="utf-8").splitlines()
    array = zarr.open_array(LocalStore(ROOT / "zarrs" / folder, read_only=True), mode="r")
    assert np.asarray(array[...]).tolist() == cities


def compat(name: str) -> npt.NDArray[Any]:
    path = ROOT / "zarrs" / "zarr_python_compat" / name
    return np.asarray(zarr.open_array(LocalStore(path, read_only=True), mode="r")[...])


@pytest.mark.parametrize("unit", ["10ms", "10us", "D", "W", "Y", "h", "m", "ms", "ns", "s", "us"])
def test_datetimes_of_every_unit(unit: str) -> None:
    read = compat(f"datetime64[{unit}].zarr")
    assert read.dtype == f"datetime64[{unit}]"
    assert read[0] == np.datetime64("1970-01-01", unit)
    assert read[2] == np.datetime64("2005-02-03").astype(f"datetime64[{unit}]")
    assert np.isnat(read[[1, -1]]).all()


def test_null_fill_values_read_as_defaults() -> None:
    assert compat("bool_v2_fv_null.zarr").tolist() == [True, False, False, False, False]
    assert compat("int_v2_fv_null.zarr").tolist() == [42, 123, 0, 0, 0]
    assert_equal(compat("float_v2_fv_null.zarr"), np.array([3.14, 2.71, 0, 0, 0], "float32"))


def test_unicode_in_both_byte_orders() -> None:
    names = ["v2_be", "v2_le", "v3_le"]
    read = [compat(f"fixed_length_utf32_{name}.zarr") for name in names]
    assert read[0].tolist() == read[1].tolist() == read[2].tolist()
    assert read[0][:3].tolist() == ["abc", "🎉", "hi"]
