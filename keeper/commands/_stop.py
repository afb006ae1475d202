"""Ctrl-C: the first asks for an end, the second is one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Final

_STOPPED_BY_HAND: Final = 130


def stop_on_signals() -> asyncio.Event:
    """An event that Ctrl-C or SIGTERM sets, for the running loop.

    A second one ends the process at once, without waiting for threads that wait for a receipt: every commit of the
    journal stands, and what belongs to us ends with us.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def ask_to_stop(number: int) -> None:
        print("stopping after what is under way; again to stop at once", file=sys.stderr, flush=True)
        stop.set()
        loop.remove_signal_handler(number)
        signal.signal(number, lambda *_: os._exit(_STOPPED_BY_HAND))

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask_to_stop, number)
    return stop
