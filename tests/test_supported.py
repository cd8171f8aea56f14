"""Every row of docs/supported.md (``supported``, ``supported_codecs``): where it runs, its values, its reason; and the page itself.

One small array for each row; details of a codec, data type, store or selection are in its own test file.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
import zarr
from packaging.version import Version
from zarr.core.dtype import VariableLengthBytes, VariableLengthUTF8
from zarr.storage import MemoryStore

import zarrs
from support import (
    python_codecs,  # noqa: F401, registers the codecs that the tables name
    supported,
    supported_codecs,
)
from support.codec_table import BYTES_CODECS
from support.supported import AWAITED, CALLED, FALLBACK, NATIVE, PYTHON, Call, Row, Sample, StoreRow

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

pytestmark = [
    pytest.mark.filterwarnings("ignore:The data type"),
    pytest.mark.filterwarnings("ignore:The codec"),
    pytest.mark.filterwarnings("ignore:Combining"),
    pytest.mark.filterwarnings("ignore:Numcodecs codecs"),
]

ZARR = Version(zarr.__version__)
SHAPE, CHUNKS = (12, 10), (4, 5)
PART = (slice(2, 9), slice(3, 8))
LENIENT = {"codec_pipeline.strict": False}
# NumPy 1 has no StringDType: text is held in object arrays there.
STRING: Any = np.dtypes.StringDType() if hasattr(np.dtypes, "StringDType") else np.dtype(object)
VARIABLE = {"string": VariableLengthUTF8, "variable_length_bytes": VariableLengthBytes}
# How `explain` begins its description of the access to a store.
WAYS = {NATIVE: "native ", CALLED: "called from threads ", AWAITED: "awaited in Python "}


def skip_where_zarr_lacks(since: str, needs: str = "") -> None:
    if Version(since) > ZARR:
        pytest.skip(f"came with zarr {since}")
    if needs:
        pytest.importorskip(needs)


def values_of(dtype: Any) -> npt.NDArray[Any]:
    """Small numbers as elements of `dtype`, exact under every lossy codec of the tables."""
    numbers = np.arange(120).reshape(SHAPE)
    if dtype == "string":
        return numbers.astype("U3").astype(STRING)
    if dtype == "variable_length_bytes":
        return numbers.astype("S3").astype(object)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return numbers % 3 == 0
    if dtype.kind == "V":
        raw = np.random.default_rng(0).integers(0, 2, (*SHAPE, dtype.itemsize), dtype="uint8")
        return raw.view(dtype).reshape(SHAPE)
    return numbers.astype("i8" if dtype.kind in "mM" else dtype).astype(dtype)


def create(sample: Sample, store: Any) -> Any:
    """The array of `sample`. Codecs of format 2 are instantiated first: zarr accepts no configurations of them."""
    skip_where_zarr_lacks(sample.since, sample.needs)
    options = {"dtype": "int32", "chunks": CHUNKS, **sample.options}
    options["dtype"] = VARIABLE.get(str(options["dtype"]), lambda: np.dtype(options["dtype"]))()
    if options.get("zarr_format") == 2:
        if options.get("filters"):
            options["filters"] = [numcodecs.get_codec(dict(one)) for one in options["filters"]]
        if options.get("compressors"):
            options["compressors"] = numcodecs.get_codec(dict(options["compressors"]))
    several = not isinstance(options["chunks"][0], int)
    with zarr.config.set({"array.rectilinear_chunks": True}) if several else nullcontext():
        return zarr.create_array(store, shape=SHAPE, **options)


def where(array: Any) -> str:
    """Where the array runs according to `explain`, in the tables' terms."""
    explanation = zarrs.explain(array)
    if not explanation.native:
        return FALLBACK
    return PYTHON if "Python" in {where_run for _, where_run in explanation.steps} else NATIVE


def check_values(array: Any, values: npt.NDArray[Any], oracle: Callable[[], Any]) -> None:
    """Writes all and a part, and reads both back through this pipeline and zarr's own."""
    expected = values.copy()
    array[...] = values
    array[PART] = expected[PART] = values[:7, :5]
    np.testing.assert_array_equal(array[...], expected)
    np.testing.assert_array_equal(array[PART], expected[PART])
    with oracle():
        # In old releases a wrapper cannot be made read-only.
        np.testing.assert_array_equal(zarr.open_array(array.store, mode="r+")[...], expected)


def outcome(action: Callable[[], Any]) -> Any:
    try:
        return np.asarray(action()).tolist()
    except Exception as error:
        return type(error)


TABLES = {
    "data-type": supported.DATA_TYPES,
    "v3": supported_codecs.CODECS_3,
    "v2": supported_codecs.CODECS_2,
}


def cases(*places: str) -> list[Any]:
    return [
        pytest.param(row, sample, id=f"{name}-{row.what[:40]}-{number}")
        for name, rows in TABLES.items()
        for row in rows
        if row.where in places
        for number, sample in enumerate(row.samples)
    ]


# -- data types and codecs --------------------------------------------------------------------------


@pytest.mark.parametrize(("row", "sample"), cases(NATIVE, PYTHON))
def test_a_row_runs_where_the_table_says_and_returns_numpys_values(
    oracle: Callable[[], Any], row: Row, sample: Sample
) -> None:
    skip_where_zarr_lacks(sample.since, sample.needs)
    values = values_of(sample.options.get("dtype", "int32"))
    if sample.refusable:
        store = MemoryStore()
        try:
            with oracle():
                create(sample, store)[...] = values
                zarr.open_array(store, mode="r")
        except (TypeError, ValueError) as error:
            pytest.skip(f"this zarr has no such data type: {error}")
    array = create(sample, {})
    assert where(array) == row.where, zarrs.explain(array)
    if not sample.unreadable:
        check_values(array, values, oracle)
        return
    with oracle():
        theirs = create(sample, {})
        theirs[...] = values
        expected = outcome(lambda: theirs[...])
    assert isinstance(expected, type), "zarr can read it now: the table may say so"
    array[...] = values
    assert outcome(lambda: array[...]) == expected


@pytest.mark.parametrize(("row", "sample"), cases(FALLBACK))
def test_a_row_falls_back_for_the_reason_in_the_table(
    oracle: Callable[[], Any], row: Row, sample: Sample
) -> None:
    array = create(sample, {})
    assert where(array) == FALLBACK
    assert row.reason
    reasons = zarrs.explain(array).reasons
    assert any(row.reason in reason for reason in reasons), reasons
    values = values_of(sample.options.get("dtype", "int32"))
    for action in (lambda: array[...], lambda: array.__setitem__(..., values)):
        with pytest.raises(zarrs.UnsupportedError) as caught:
            action()
        assert row.reason in str(caught.value)
    with zarr.config.set(LENIENT):
        check_values(array, values, oracle)


def test_the_tables_name_every_bytes_codec_under_test() -> None:
    named = "".join(row.what for row in supported_codecs.CODECS_3 + supported_codecs.CODECS_2)
    for name in BYTES_CODECS:
        assert f"`{name}`" in named
        assert f"`numcodecs.{name}`" in named


# -- stores -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", supported.STORES, ids=lambda row: row.what)
def test_a_store_is_accessed_as_the_table_says(
    request: pytest.FixtureRequest, tmp_path: Path, oracle: Callable[[], Any], row: StoreRow
) -> None:
    skip_where_zarr_lacks(row.since)
    if row.reopen is not None and sys.platform == "win32":
        pytest.skip("archives are read natively on POSIX systems only")
    given = request.getfixturevalue(row.server) if row.server else tmp_path
    store = row.make(given)
    values = values_of("int32")
    array = create(Sample({}), store)
    if row.reopen is None:
        assert zarrs.explain(array).store.startswith(WAYS[row.way])
        # Writing a chunk twice to an archive raises a warning.
        if "ZipStore" not in row.what:
            check_values(array, values, oracle)
            return
    array[...] = values
    if row.reopen is not None:
        array = zarr.open_array(row.reopen(store, given), mode="r")
        assert zarrs.explain(array).store.startswith(WAYS[row.way])
    np.testing.assert_array_equal(array[...], values)
    np.testing.assert_array_equal(array[PART], values[PART])
    array.store.close()


# -- selections -------------------------------------------------------------------------------------

EXAMPLES = {example: same for row in supported.SELECTIONS for example, same in row.examples.items()}


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_selection_reads_and_writes_what_numpy_does(example: str) -> None:
    values = np.arange(24 * 9, dtype="int32").reshape(24, 9)
    z = zarr.create_array({}, shape=(24, 9), chunks=(5, 4), dtype="int32")
    z[...] = values
    names = {"z": z, "a": values, "np": np, "mask": np.arange(9) % 2 == 1}
    names["boolean_array"] = values % 7 == 2
    found, expected = eval(example, names), eval(EXAMPLES[example], names)
    np.testing.assert_array_equal(found, expected)
    assert expected.size
    names["value"] = -1 - np.arange(expected.size, dtype="int32").reshape(expected.shape)
    exec(f"{example} = value; {EXAMPLES[example]} = value", names)
    np.testing.assert_array_equal(z[...], values)
    assert (values < 0).any()


# -- calls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", supported.CALLS, ids=lambda row: row.what)
def test_a_call_falls_back_for_the_reason_in_the_table(
    oracle: Callable[[], Any], row: Call
) -> None:
    def call(array: Any) -> Any:
        exec(row.code, {"z": array, "np": np})
        return array[...]

    ours = create(row.sample, {})
    assert where(ours) != FALLBACK
    with pytest.raises(zarrs.UnsupportedError, match=row.reason):
        call(ours)
    with oracle():
        expected = outcome(lambda: call(create(row.sample, {})))
    with zarr.config.set(LENIENT):
        assert outcome(lambda: call(ours)) == expected


# -- the page ---------------------------------------------------------------------------------------


def test_the_page_is_up_to_date_with_the_tables() -> None:
    script = Path(__file__).parents[1] / "docs" / "make_supported.py"
    # Without site-packages: building the documentation must not require zarr.
    checked = subprocess.run(
        [sys.executable, "-I", "-S", str(script), "--check"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
