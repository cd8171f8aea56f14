"""How a codec that stays a Python object is called: on the calling thread, or on the event loop of the read or write.

Knows nothing of chains and arrays (``python_steps``).
"""

from __future__ import annotations

import asyncio
import collections
import functools
import sys
from typing import TYPE_CHECKING, Any

from zarr.abc import codec as zarr_codecs
from zarr.codecs import BytesCodec, TransposeCodec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from zarr.core.array_spec import ArraySpec

    from zarrs._internal import Caller, Reply

# zarr's own codecs that never wait: before 3.2 they only have coroutines, which end at their first step.
_STRAIGHT = frozenset({BytesCodec, TransposeCodec})
# Whether zarr itself knows synchronous methods; before, the name means nothing to zarr.
_SYNC = hasattr(zarr_codecs, "SupportsSyncCodec")
_EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class Call:
    """One direction of one codec: `method`, and whether it is a coroutine that needs an event loop."""

    __slots__ = ("method", "waits")

    def __init__(self, method: Callable[..., Any], waits: bool) -> None:
        self.method = method
        self.waits = waits

    def on_loop(self, value: Any, spec: ArraySpec) -> Awaitable[Any]:
        """An awaitable for an event loop; a method that is no coroutine runs on a thread."""
        if self.waits:
            return self.method(value, spec)  # type: ignore[no-any-return]
        return asyncio.to_thread(self.method, value, spec)


def call_of(codec: Any, direction: str) -> Call:
    """The method of `codec` that its most derived class defines: a subclass may override any of the three.

    zarr's batched pipeline calls the method for batches, whose default calls the one for single chunks. The synchronous
    method promises the same result, but only if no class further down overrides one of the others.
    """
    kind = type(codec)
    batch, single, sync = direction, f"_{direction}_single", f"_{direction}_sync"
    by_class = [_depth(kind, name) for name in (sync, single, batch)]
    if _SYNC and by_class[0] <= min(by_class[1:]) and getattr(codec, "_sync_capable", True):
        return Call(getattr(codec, sync), False)
    one = getattr(codec, single)
    if kind in _STRAIGHT:
        return Call(lambda value, spec: _drive(one(value, spec)), False)
    if getattr(kind, batch) is getattr(zarr_codecs.BaseCodec, batch):
        return Call(one, True)
    many = getattr(codec, batch)

    async def first(value: Any, spec: ArraySpec) -> Any:
        return next(iter(await many([(value, spec)])))

    return Call(first, True)


def _depth(kind: type, name: str) -> int:
    """How many classes up the hierarchy `name` is defined; the number of all classes if it is not."""
    order = kind.__mro__
    return next((number for number, c in enumerate(order) if name in c.__dict__), len(order))


def _drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    coroutine.close()
    raise RuntimeError("a codec that never waits has waited")


class Inbox:
    """Runs coroutines for the threads of one call on its event loop, which wakes once for all requests since the last time.

    ``asyncio.run_coroutine_threadsafe`` would wake it, create two futures and a task, and take the GIL on the waiting
    thread for every single request.
    """

    __slots__ = ("_loop", "_tasks")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[Any]] = set()

    def call(self, caller: Caller) -> None:
        """Schedules the requests of `caller`'s threads. RuntimeError if the loop is closed."""
        self._loop.call_soon_threadsafe(self._serve, caller)

    def cancel(self, _: Caller) -> None:
        """Cancels the tasks of a call that was abandoned. RuntimeError if the loop is closed."""
        self._loop.call_soon_threadsafe(self._cancel)

    def is_closed(self, _: Caller) -> bool:
        """Whether the loop is closed."""
        return self._loop.is_closed()

    def _serve(self, caller: Caller) -> None:
        wanted = collections.deque(caller.wanted())
        while wanted:
            steps, encodes, data, answer = wanted.popleft()
            context = caller.context.copy()
            coroutine = (steps.encode_on_loop if encodes else steps.decode_on_loop)(data)
            try:
                task = asyncio.Task(coroutine, loop=self._loop, context=context, **_EAGER)
            except BaseException as error:
                # Including exceptions that end the loop.
                answer.fail(error)
                for *_, other in wanted:
                    other.fail(RuntimeError("the event loop ended while a codec ran"))
                raise
            # Many coroutines of codecs never wait, and every turn of the loop releases the GIL.
            if task.done():
                _answer(answer, task)
            else:
                self._tasks.add(task)
                task.add_done_callback(functools.partial(self._done, answer))

    def _done(self, answer: Reply, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        _answer(answer, task)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


def _answer(answer: Reply, task: asyncio.Task[Any]) -> None:
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if error is None:
        answer.finish(task.result())
    else:
        answer.fail(error)
