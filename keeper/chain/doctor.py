"""What is installed, where it came from, and what is wrong with it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from keeper.chain import tools
from keeper.compiled import cache_root
from keeper.errors import KeeperError

_PYTHON = ((3, 11), (3, 13))
_NODE_PACKAGES = {"openzeppelin": "@openzeppelin/contracts", "solady": "solady"}
_PYTHON_PACKAGES = {
    "ape": "eth-ape",
    "ape-foundry": "ape-foundry",
    "ape-solidity": "ape-solidity",
    "web3": "web3",
    "numba": "numba",
    "pyrevm": "pyrevm",
    "coincurve": "coincurve",
}
_WITHOUT = {"coincurve": "signing falls back to pure Python, nine times slower"}
_SET_UP = "run `make setup`"


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing that we need. `problem` is None when all is well with it."""

    name: str
    version: str
    origin: str
    problem: str | None = None


def examine() -> list[Tool]:
    """Look at everything that we need. Never raises: what is missing is in the answer."""
    return [
        _python(),
        _program("node", tools.find_node),
        _program("anvil", tools.find_anvil),
        _compiler(),
        *(_node_package(name, package) for name, package in _NODE_PACKAGES.items()),
        *(_python_package(name, package) for name, package in _PYTHON_PACKAGES.items()),
        _cache(),
    ]


def _python() -> Tool:
    oldest, too_new = _PYTHON
    fits = oldest <= sys.version_info[:2] < too_new
    problem = None if fits else "gamma-keeper needs Python 3.11 or 3.12"
    return Tool("python", platform.python_version(), sys.executable, problem)


def _program(name: str, find: Callable[[], Path]) -> Tool:
    try:
        path = find()
    except KeeperError as error:
        return Tool(name, "", "", str(error))
    version = ".".join(map(str, tools.parse_version(tools.version_of(path))))
    return Tool(name, version, str(path.resolve()))


def _compiler() -> Tool:
    version = tools.node_package_version("solc") or ""
    try:
        command = Path(tools.find_compiler()[-1])
    except KeeperError as error:
        return Tool("solc", version, "", str(error))
    native = shutil.which("solc")
    if native and f"Version: {version}+" in tools.version_of(Path(native)):
        return Tool("solc", version, native)
    says = tools.version_of(command)
    problem = None if version in says else f"it does not start: {_SET_UP}"
    return Tool("solc", version, f"{command} (npm package solc)", problem)


def _node_package(name: str, package: str) -> Tool:
    version = tools.node_package_version(package)
    if version is None:
        return Tool(name, "", "", f"the npm package {package} is not installed: {_SET_UP}")
    return Tool(name, version, str(tools.ROOT / "node_modules" / package))


def _python_package(name: str, package: str) -> Tool:
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        why = f" ({_WITHOUT[name]})" if name in _WITHOUT else ""
        return Tool(name, "", "", f"the Python package {package} is not installed{why}: {_SET_UP}")
    return Tool(name, found.version, str(found.locate_file("")))


def _cache() -> Tool:
    root = cache_root()
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    problem = None if os.access(existing, os.W_OK) else "it cannot be written to: set GAMMA_KEEPER_CACHE to a folder"
    return Tool("cache", "", str(root), problem)
