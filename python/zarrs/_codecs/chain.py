"""What Rust is told of a chunk's codecs: descriptions read by the names of their fields (``src/bindings/spec.rs``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zarrs._codecs.python_steps import PythonStep, V2PythonStep

    # A native codec, or a run of Python codecs, which has the name "python".
    AnyStep: TypeAlias = "Step | PythonStep | V2PythonStep"
    Vlen = Literal["vlen-utf8", "vlen-bytes"]


class Step(NamedTuple):
    """A native codec over bytes or flat elements: a name of ``src/codec/table.rs`` and the parameters that it has there."""

    name: str
    configuration: Mapping[str, Any]


class Sharding(NamedTuple):
    """The array-to-bytes codec of shards."""

    chunk_shape: list[int]
    inner: Chain
    index_transpose: list[list[int]]
    index_big_endian: bool
    index_steps: list[Step]
    index_at_start: bool
    write_order: str


class Chain(NamedTuple):
    """The codecs of a chunk in encoding order: transpositions, the array-to-bytes codec, and all others.

    `endian` is the byte order of the elements that `serializer` leaves, None for the data type's own. Rust does not ask for
    it: the fill value has it.
    """

    transpose: list[list[int]]
    serializer: Literal["bytes"] | Vlen | Sharding
    steps: list[AnyStep]
    endian: str | None = None
