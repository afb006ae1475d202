"""One writer for each journal: an advisory lock beside the file, which the system frees whatever ends its holder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from keeper.errors import InputError


class WriterLock:
    """Held from its making until `release`. Raises ``InputError`` when another process holds it; readers never ask."""

    def __init__(self, journal: str) -> None:
        self._path = Path(f"{journal}.lock")
        self._file = self._hold(journal)
        os.ftruncate(self._file, 0)
        os.write(self._file, str(os.getpid()).encode())

    def release(self) -> None:
        """Let the next one write."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def _hold(self, journal: str) -> int:
        while True:
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                raise InputError(f"cannot write {self._path}: {error.strerror}; name another journal") from None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.pread(file, 20, 0).decode() or "unknown"
                os.close(file)
                raise InputError(
                    f"another keeper (pid {holder}) uses this journal ({journal}): "
                    "stop it first, or give --journal another file"
                ) from None
            if self._still_there(file):
                return file
            os.close(file)  # its holder let go and removed it between our two steps

    def _still_there(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), os.stat(self._path))
        except FileNotFoundError:
            return False
