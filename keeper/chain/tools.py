"""Where the programs that we start live: Node, the Solidity compiler and Anvil.

Each is looked for on PATH first and then in what `make setup` installed, and only a version that we know to work is
accepted.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

from keeper.errors import InputError

ROOT: Final = Path(__file__).resolve().parents[2]
"""The repository: contracts, npm packages and build caches are found from here."""

MINIMUM_ANVIL: Final = (1, 7)
MINIMUM_NODE: Final = (16,)
_SET_UP: Final = "run `make setup`"


def node_package_version(name: str) -> str | None:
    """The version of an installed npm package, or None when it is not installed."""
    manifest = ROOT / "node_modules" / name / "package.json"
    if not manifest.is_file():
        return None
    return str(json.loads(manifest.read_text())["version"])


def parse_version(text: str) -> tuple[int, ...]:
    """The first dotted number in a program's answer to `--version`; empty when there is none."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups() if part is not None) if found else ()


@cache
def version_of(program: Path) -> str:
    """The first line that mentions a version in the answer to `program --version`; empty when it does not run."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return next((line.strip() for line in done.stdout.splitlines() if parse_version(line)), "")


@cache
def find_node() -> Path:
    """The Node executable: on PATH, or the one that set-up put beside our Python."""
    candidates = [shutil.which("node"), str(Path(sys.prefix) / "bin" / "node")]
    for candidate in candidates:
        if candidate and parse_version(version_of(Path(candidate))) >= MINIMUM_NODE:
            return Path(candidate)
    raise InputError(f"no Node {MINIMUM_NODE[0]} or newer on PATH or beside {sys.executable}: {_SET_UP}")


def find_compiler() -> list[str]:
    """The command that starts the Solidity compiler."""
    if node_package_version("solc") is None:
        raise InputError(f"the Solidity compiler is not installed in {ROOT / 'node_modules'}: {_SET_UP}")
    return [str(find_node()), str(ROOT / "scripts" / "solc")]


def packaged_anvil() -> Path:
    """Where npm puts Anvil's binary on this machine."""
    system = {"linux": "linux", "darwin": "darwin", "win32": "win32"}.get(sys.platform, sys.platform)
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    package = f"anvil-{system}-{machine.get(platform.machine().lower(), platform.machine().lower())}"
    return ROOT / "node_modules" / "@foundry-rs" / package / "bin" / ("anvil.exe" if os.name == "nt" else "anvil")


@cache
def find_anvil() -> Path:
    """Anvil's executable: the one on PATH if it is new enough, else the one from npm."""
    for candidate in (shutil.which("anvil"), packaged_anvil()):
        if candidate and Path(candidate).is_file() and parse_version(version_of(Path(candidate))) >= MINIMUM_ANVIL:
            return Path(candidate)
    wanted = ".".join(map(str, MINIMUM_ANVIL))
    raise InputError(f"no anvil {wanted} or newer on PATH or in {ROOT / 'node_modules'}: {_SET_UP}")
