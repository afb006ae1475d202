"""The one numba decorator, and the one place that decides where machine code is cached.

A kernel is a scalar function: floats and integers in, a float or a tuple of them out. The live keeper, the simulator
and the array wrappers all call the same compiled code.

numba's own cache looks only at the file that defines a function, so an edited callee in another file would leave its
callers with stale machine code. The cache folder is therefore named by a hash of every source file that may hold a
kernel (`KERNEL_ROOMS`): an edit in any of them starts a fresh folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

PURE_ROOMS: Final = ("pricing", "protocol", "state", "risk", "hedging", "accounting", "market")
"""Rooms that open no file, read no clock, draw no random number and know no chain."""
KERNEL_ROOMS: Final = (*PURE_ROOMS, "simulation")
"""The only homes of kernels: the formulas, and the simulator's loops over paths."""

_PACKAGE: Final = Path(__file__).resolve().parent
_UNUSED_AFTER: Final = 30 * 86_400
Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def cache_root() -> Path:
    """The user's cache folder for this program: `GAMMA_KEEPER_CACHE`, or the platform's usual place."""
    override = os.environ.get("GAMMA_KEEPER_CACHE")
    if override:
        return Path(override).expanduser().resolve()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gamma-keeper"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local"))) / "gamma-keeper" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gamma-keeper"


def sources_hash() -> str:
    """A short hash of every source file that may hold a kernel, and of this one."""
    digest = hashlib.sha256()
    for path in [Path(__file__), *(file for room in KERNEL_ROOMS for file in sorted((_PACKAGE / room).rglob("*.py")))]:
        digest.update(str(path.relative_to(_PACKAGE)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _kernel_folder() -> Path:
    """The folder for today's sources; folders that no run has opened for a month are removed on the way."""
    root = cache_root() / "kernels"
    folder = root / sources_hash()
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    if fresh:
        for other in root.iterdir():
            if time.time() - other.stat().st_mtime > _UNUSED_AFTER:
                shutil.rmtree(other, ignore_errors=True)
    return folder


os.environ["NUMBA_CACHE_DIR"] = str(_kernel_folder())  # numba reads it once, when it is imported

import numba  # noqa: E402

setattr(numba.config, "CACHE_DIR", os.environ["NUMBA_CACHE_DIR"])  # noqa: B010  for the case that somebody imported numba before us


def kernel(function: Kernel) -> Kernel:
    """Compile a scalar function to machine code and keep the code for later processes.

    Division by zero gives inf or NaN as in IEEE 754 (and numpy) instead of raising; the GIL is released.
    """
    return cast(Kernel, numba.njit(cache=True, error_model="numpy", nogil=True, forceinline=True)(function))
