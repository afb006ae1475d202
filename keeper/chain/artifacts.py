"""Compiled contracts by name. What is stale is compiled on the way.

A unit is one file under `contracts/` or `tests/contracts/`. Its key is a hash of the compiler's version and settings
and of the text of the file and of everything that it imports, so a result is either exactly right or not found.
Results live in `.build-cache/`; a file lock keeps two processes from compiling the same thing at once, and every
result arrives by an atomic rename.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from keeper.chain import tools
from keeper.errors import InputError, KeeperError
from keeper.telemetry import step

MAX_RUNTIME_SIZE: Final = 24_576
"""Bytes of runtime code that a chain accepts (EIP-170)."""

SETTINGS: Final[dict[str, Any]] = {
    "viaIR": True,
    "optimizer": {"enabled": True, "runs": 200},
    "evmVersion": "cancun",
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
}
_CODE: Final = ("evm.bytecode", "evm.deployedBytecode")
_OUTPUTS: Final = ["abi", *(f"{code}.{part}" for code in _CODE for part in ("object", "linkReferences", "sourceMap"))]
_SOURCE_FOLDERS: Final = ("contracts", "tests/contracts")
_REMAPPINGS: Final = {"@openzeppelin/": "node_modules/@openzeppelin/", "solady/": "node_modules/solady/src/"}
_KEPT_PER_UNIT: Final = 4
_BASEFEE, _PUSH0, _PUSH32 = 0x48, 0x5F, 0x7F
_COMMENT: Final = re.compile(r'("(?:\\.|[^"\\\n])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_IMPORT: Final = re.compile(r'\bimport\s+(?:[^;"]*?\bfrom\s+)?"([^"]+)"')
_DECLARATION: Final = re.compile(r"(?:^|[;}])\s*(?:abstract\s+)?(?:contract|library|interface)\s+(\w+)")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract.

    `bytecode` creates it. `links` says where in it the addresses of libraries belong, and `base_fee_reads` where it
    reads the block's base fee (the in-process EVM needs to know).
    """

    name: str
    source: str
    abi: tuple[Mapping[str, Any], ...]
    bytecode: bytes
    runtime_bytecode: bytes
    links: tuple[tuple[str, int], ...] = ()
    base_fee_reads: tuple[int, ...] = ()

    @property
    def deployable(self) -> bool:
        """Whether there is code at all: interfaces and abstract contracts have none."""
        return bool(self.bytecode)

    @property
    def libraries(self) -> tuple[str, ...]:
        """Names of the libraries that must be deployed first."""
        return tuple(sorted({name for name, _ in self.links}))

    def linked(self, addresses: Mapping[str, str]) -> bytes:
        """Creation code with the libraries' addresses written into it."""
        code = bytearray(self.bytecode)
        for library, start in self.links:
            code[start : start + 20] = bytes.fromhex(addresses[library].removeprefix("0x"))
        return bytes(code)


class Builder:
    """Compiles the contracts of one repository and remembers what it has loaded."""

    def __init__(self, root: Path = tools.ROOT) -> None:
        self.root = root
        self.cache = root / ".build-cache" / "artifacts"
        self._texts: dict[str, str] = {}
        self._imports: dict[str, tuple[str, ...]] = {}
        self._loaded: dict[str, dict[str, Artifact]] = {}
        self._units = self._find_units()

    def load(self, name: str) -> Artifact:
        """The contract called `name`, freshly compiled if need be. Raises `InputError` when there is none."""
        unit = self._units.get(name)
        if unit is None:
            raise InputError(f"no contract is called {name}; looked in {' and '.join(_SOURCE_FOLDERS)}")
        return _sized(self._ensure([unit])[unit][name])

    def load_all(self, names: Iterable[str] | None = None) -> dict[str, Artifact]:
        """Every contract by name (or only those named), compiling all stale units in one go."""
        chosen = {name: self._units[name] for name in (self._units if names is None else names)}
        units = self._ensure(sorted(set(chosen.values())))
        return {name: _sized(units[unit][name]) for name, unit in chosen.items()}

    def cached(self) -> dict[str, Artifact]:
        """Contracts that need no compilation: what is already loaded or in the cache."""
        fresh = [unit for unit in set(self._units.values()) if unit in self._loaded or self._path(unit).exists()]
        units = self._ensure(fresh)
        return {name: artifact for unit in units.values() for name, artifact in unit.items()}

    def stale(self) -> list[str]:
        """Units whose result is not in the cache."""
        return sorted(unit for unit in set(self._units.values()) if not self._path(unit).exists())

    def _find_units(self) -> dict[str, str]:
        units: dict[str, str] = {}
        for folder in _SOURCE_FOLDERS:
            for path in sorted((self.root / folder).rglob("*.sol")):
                unit = path.relative_to(self.root).as_posix()
                for name in _DECLARATION.findall(_without_comments(self._text(unit))):
                    if name in units:
                        raise InputError(f"two contracts are called {name}: in {units[name]} and in {unit}")
                    units[name] = unit
        return units

    def _text(self, unit: str) -> str:
        if unit not in self._texts:
            prefix = next((prefix for prefix in _REMAPPINGS if unit.startswith(prefix)), None)
            path = self.root / (unit if prefix is None else _REMAPPINGS[prefix] + unit.removeprefix(prefix))
            try:
                self._texts[unit] = path.read_text(encoding="utf-8")
            except OSError:
                raise InputError(f"cannot read {path}, which a contract imports as {unit}") from None
        return self._texts[unit]

    def _imports_of(self, unit: str) -> tuple[str, ...]:
        if unit not in self._imports:
            folder = os.path.dirname(unit)
            self._imports[unit] = tuple(
                os.path.normpath(os.path.join(folder, target)) if target.startswith(".") else target
                for target in _IMPORT.findall(_without_comments(self._text(unit)))
            )
        return self._imports[unit]

    def _closure(self, unit: str) -> list[str]:
        """The unit and everything that it imports, sorted."""
        seen, waiting = {unit}, [unit]
        while waiting:
            for target in self._imports_of(waiting.pop()):
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return sorted(seen)

    def _path(self, unit: str) -> Path:
        digest = hashlib.sha256(f"{tools.node_package_version('solc')} {SETTINGS} {_OUTPUTS}".encode())
        for source in self._closure(unit):
            digest.update(f"\0{source}\0{self._text(source)}".encode())
        return self.cache / f"{Path(unit).stem}-{digest.hexdigest()[:20]}.json"

    def _ensure(self, units: list[str]) -> dict[str, dict[str, Artifact]]:
        """Load the units, compiling those that are not in the cache."""
        missing = [unit for unit in units if unit not in self._loaded]
        if any(not self._path(unit).exists() for unit in missing):
            with self._lock():
                stale = [unit for unit in missing if not self._path(unit).exists()]
                if stale:
                    self._compile(stale)
        for unit in missing:
            self._loaded[unit] = {
                artifact.name: artifact for artifact in _from_json(json.loads(self._path(unit).read_text()))
            }
        return {unit: self._loaded[unit] for unit in units}

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.cache.mkdir(parents=True, exist_ok=True)
        with open(self.cache / ".lock", "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _compile(self, units: list[str]) -> None:
        """Compile units, in as many compilers side by side as there are processors."""
        what = Path(units[0]).name if len(units) == 1 else f"{len(units)} contract files"
        batches = _split(units, min(os.cpu_count() or 1, len(units)), lambda unit: len(self._text(unit)))
        with step(f"compiling {what}"), ThreadPoolExecutor(len(batches)) as pool:
            for batch, contracts in zip(batches, pool.map(self._run_compiler, batches), strict=True):
                for unit in batch:
                    self._store(unit, contracts.get(unit, {}))

    def _run_compiler(self, units: list[str]) -> dict[str, Any]:
        """One run of the compiler: contracts by unit. Raises `InputError` with the compiler's own message."""
        sources = sorted({source for unit in units for source in self._closure(unit)})
        request = {
            "language": "Solidity",
            "sources": {source: {"content": self._text(source)} for source in sources},
            "settings": {**SETTINGS, "outputSelection": {unit: {"*": _OUTPUTS} for unit in units}},
        }
        command = [*tools.find_compiler(), "--standard-json"]
        done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            said = (done.stderr or done.stdout).strip()[-2_000:]
            raise KeeperError(f"the Solidity compiler failed: {said}") from None
        errors = [error for error in answer.get("errors", []) if error["severity"] == "error"]
        if errors:
            messages = "\n\n".join(error["formattedMessage"].strip() for error in errors)
            raise InputError(f"the contracts do not compile\n{messages}")
        return dict(answer.get("contracts", {}))

    def _store(self, unit: str, contracts: dict[str, Any]) -> None:
        path = self._path(unit)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps({"source": unit, "contracts": contracts}))
        temporary.replace(path)
        results = sorted(self.cache.glob(f"{Path(unit).stem}-*.json"), key=lambda file: file.stat().st_mtime)
        for file in results[:-_KEPT_PER_UNIT]:
            file.unlink(missing_ok=True)


def _split(units: list[str], parts: int, weight: Callable[[str], int]) -> list[list[str]]:
    """Units in so many batches of about equal weight: the heaviest first, each to the lightest batch."""
    batches: list[list[str]] = [[] for _ in range(parts)]
    for unit in sorted(units, key=weight, reverse=True):
        min(batches, key=lambda batch: sum(map(weight, batch))).append(unit)
    return batches


def _sized(artifact: Artifact) -> Artifact:
    """The artifact itself, unless no chain would accept its code."""
    size = len(artifact.runtime_bytecode)
    if size > MAX_RUNTIME_SIZE:
        raise KeeperError(
            f"{artifact.name} has {size:,} bytes of runtime code and a chain accepts {MAX_RUNTIME_SIZE:,}: "
            f"split {artifact.source}"
        )
    return artifact


def _without_comments(text: str) -> str:
    return _COMMENT.sub(lambda match: match.group(1) or " ", text)


def _from_json(stored: dict[str, Any]) -> Iterator[Artifact]:
    for name, contract in stored["contracts"].items():
        creation, runtime = contract["evm"]["bytecode"], contract["evm"]["deployedBytecode"]
        code, runtime_code = _code(creation["object"]), _code(runtime["object"])
        reads = _base_fee_reads(code, 0, creation["sourceMap"])
        if runtime_code:
            reads += _base_fee_reads(code, code.index(runtime_code), runtime["sourceMap"])
        links = tuple(
            (library, place["start"])
            for libraries in creation["linkReferences"].values()
            for library, places in libraries.items()
            for place in places
        )
        yield Artifact(name, stored["source"], tuple(contract["abi"]), code, runtime_code, links, reads)


def _base_fee_reads(code: bytes, start: int, source_map: str) -> tuple[int, ...]:
    """Offsets of BASEFEE among the instructions from `start` on; the source map has one entry for each of them."""
    reads, place = [], start
    for _ in range(source_map.count(";") + 1 if source_map else 0):
        opcode = code[place]
        if opcode == _BASEFEE:
            reads.append(place)
        place += 1 + (opcode - _PUSH0 if _PUSH0 < opcode <= _PUSH32 else 0)
    return tuple(reads)


def _code(text: str) -> bytes:
    """Hex to bytes; the placeholder of a library that is still to be linked becomes zeros."""
    return bytes.fromhex(re.sub(r"__\$[0-9a-f]{34}\$__", "0" * 40, text))


@cache
def builder() -> Builder:
    """The builder of this repository's contracts."""
    return Builder()


def load(name: str) -> Artifact:
    """The contract called `name`, compiled if need be."""
    return builder().load(name)


def load_all(names: Iterable[str] | None = None) -> dict[str, Artifact]:
    """Every contract by name (or only those named), compiled if need be."""
    return builder().load_all(names)


def cached() -> dict[str, Artifact]:
    """Contracts whose compiled form is at hand, by name."""
    return builder().cached()


def main() -> int:
    """Compile everything that is stale: `python -m keeper.chain.artifacts`."""
    try:
        stale = len(builder().stale())
        contracts = load_all()
    except KeeperError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    largest = max(contracts.values(), key=lambda artifact: len(artifact.runtime_bytecode))
    size = len(largest.runtime_bytecode)
    print(f"{len(contracts)} contracts, {stale} files compiled; the largest is {largest.name} with {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
