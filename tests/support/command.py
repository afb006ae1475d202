"""The command line as its users run it: a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def _environment(extra: dict[str, str] | None) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("KEEPER_")}
    return {**ours, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200", **(extra or {})}


def keeper(
    *arguments: object, folder: Path, environment: dict[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "keeper.cli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=_environment(environment), capture_output=True, text=True, timeout=timeout, check=False
    )


@contextmanager
def running(*arguments: object, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A command that runs until the test is done with it."""
    command = [sys.executable, "-m", "keeper.cli", *map(str, arguments)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=folder, env=_environment(None), stdout=pipe, stderr=pipe, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def first_object(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The JSON object that a running command prints first."""
    text = ""
    assert process.stdout is not None
    for line in process.stdout:
        text += line
        if line.startswith("}"):
            return json.loads(text)
    assert process.stderr is not None
    raise AssertionError(f"no JSON object came: {text}{process.stderr.read()}")


def wait_for(condition: Any, seconds: float = 60.0) -> Any:
    """What ``condition`` returns as soon as it is true of anything."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"nothing came of it within {seconds} s")
