"""Work that a person may end: Ctrl-C and SIGTERM."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


def stop_event() -> asyncio.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def until_stopped(
    work: Coroutine[Any, Any, Value], stop: asyncio.Event | None = None
) -> Value | None:
    """What the work returns, or None if it was stopped; it is over then. Raises what it raises."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task((stop or stop_event()).wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
