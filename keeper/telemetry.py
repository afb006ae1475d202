"""What the program says about itself: logs and progress, always on stderr. stdout belongs to results.

`step("compiling 12 contracts")` around slow work prints a line once the work has taken longer than a moment and, at
its end, how long it took; quick work stays silent.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 0.5  # seconds of silence before a step says what it is doing


def configure_logging(verbose: bool = False) -> None:
    """Send our logs to stderr: warnings and up, or everything from us when `verbose`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("keeper")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    logger.propagate = False


@contextmanager
def step(message: str) -> Iterator[None]:
    """Say on stderr what a long step is doing, and how long it took."""
    announced = threading.Event()

    def announce() -> None:
        announced.set()
        print(f"{message} ...", file=sys.stderr, flush=True)

    timer = threading.Timer(_PATIENCE, announce)
    timer.daemon = True
    timer.start()
    started = time.perf_counter()
    try:
        yield
    finally:
        timer.cancel()
    if announced.is_set():
        print(f"{message}: {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
