"""How a codec that stays a Python object is called: on the thread that asks, or on the event loop of the call.

Knows nothing of chains and arrays (``_python_steps.py``).
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import inspect
import sys
import threading
from typing import TYPE_CHECKING, Any

from zarr.abc import codec as zarr_codecs
from zarr.codecs import BytesCodec, TransposeCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from zarr.core.array_spec import ArraySpec

    from zarrs._internal import Caller

# zarr's own that never wait for anything: before 3.2 they only have coroutines, which end at the first step.
_STRAIGHT = frozenset({BytesCodec, TransposeCodec})
# Whether zarr itself knows synchronous methods; before, the name is a user's own affair.
_SYNC = hasattr(zarr_codecs, "SupportsSyncCodec")
_EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}
# Seconds between two looks at whether anybody still wants what an event loop was asked for.
_LOOK = 0.05


class Call:
    """One direction of one codec: `method`, and whether it is a coroutine that needs an event loop."""

    __slots__ = ("_method", "waits")

    def __init__(self, method: Callable[..., Any], waits: bool) -> None:
        self._method = method
        self.waits = waits

    def __call__(self, value: Any, spec: ArraySpec, caller: Caller) -> Any:
        if self.waits:
            return caller.inbox.wait(self._method(value, spec), caller)
        return self._method(value, spec)


def call_of(codec: Any, direction: str) -> Call:
    """The method that says last what the codec does: a subclass may override any of the three.

    zarr's batched pipeline asks for a batch, whose default asks for single chunks; the synchronous method is a promise of
    the same, worth as much as the class that makes it.
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
    """How far up in the hierarchy `name` is defined; beyond all classes if it is not."""
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
    """What the threads of one call want from its event loop, which wakes once for all that came since.

    ``asyncio.run_coroutine_threadsafe`` wakes it for each, and makes two futures and a task for each.
    """

    __slots__ = ("_asked", "_loop", "_wanted")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wanted: collections.deque[_Wish] = collections.deque()
        self._asked = False

    def wait(self, coroutine: Coroutine[Any, Any, Any], caller: Caller) -> Any:
        """What `coroutine` gives on the event loop that made the call, which waits for the batch meanwhile.

        Raises
        ------
        RuntimeError
            If the loop is closed, the call was cancelled or the interpreter exits first.
        """
        wish = _Wish(coroutine)
        self._wanted.append(wish)
        # Set before the loop looks and cleared before it empties the box: a wish is never left without a call.
        if not self._asked:
            self._asked = True
            self._call(self._answer)
        while not wish.ended.acquire(timeout=_LOOK):
            if self._loop.is_closed():
                coroutine.close()
                raise RuntimeError("the event loop was closed while a codec ran on it")
            if caller.stopped():
                self._call(wish.give_up)
                raise RuntimeError("the call was given up while a codec ran")
        if wish.error is not None:
            try:
                raise wish.error
            finally:
                # Its traceback holds this frame.
                del wish
        return wish.result

    def _call(self, what: Callable[[], None]) -> None:
        # On a closed loop it raises; whoever waits finds that out.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what)

    def _answer(self) -> None:
        self._asked = False
        while self._wanted:
            self._wanted.popleft().start(self._loop)


class _Wish:
    """A coroutine to be run, and what became of it."""

    __slots__ = ("_context", "_coroutine", "_task", "ended", "error", "result")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[Any] | None = None
        self.ended = threading.Lock()
        self.ended.acquire()
        self.error: BaseException | None = None
        self.result: Any = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the event loop's thread."""
        if inspect.getcoroutinestate(self._coroutine) == inspect.CORO_CLOSED:
            # Closed already, by whoever gave up.
            return
        try:
            task = asyncio.Task(self._coroutine, loop=loop, context=self._context, **_EAGER)
        except BaseException as error:
            # One that ends the loop, too.
            self.error = error
            self.ended.release()
            raise
        # Many coroutines of codecs never wait; each turn of the loop lets go of the GIL.
        if task.done():
            self._end(task)
        else:
            self._task = task
            task.add_done_callback(self._end)

    def give_up(self) -> None:
        """On the event loop's thread."""
        if self._task is None:
            self._coroutine.close()
        else:
            self._task.cancel()

    def _end(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self.error = asyncio.CancelledError()
        else:
            self.error = task.exception()
            self.result = None if self.error is not None else task.result()
        self.ended.release()
