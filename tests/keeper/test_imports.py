"""The shape of the house: imports point one way, and the pure rooms stay pure."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from keeper.compiled import PURE_ROOMS

ROWS = (
    ("units", "errors", "compiled", "telemetry"),
    ("pricing",),
    ("protocol", "state"),
    ("risk",),
    ("hedging", "accounting"),
    ("market", "data", "chain"),
    ("execution",),
    ("roles",),
    ("simulation",),
    ("tuning",),
    ("views",),
    ("settings", "app"),
    ("commands", "cli"),
)
ROW = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
SAME_ROW = {("cli", "commands"), ("app", "settings"), ("units", "errors")}
WORLDLY = {
    "asyncio", "datetime", "glob", "http", "io", "logging", "multiprocessing", "os", "pathlib", "pyrevm", "random",
    "requests", "secrets", "shutil", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time",
    "urllib", "uuid", "web3", "pyarrow", "pandas", "rich", "typer",
}  # fmt: skip
FORBIDDEN_CALLS = re.compile(r"^(open|print|input|(np|numpy)\.random\.(?!(Generator|PCG64|Philox|SeedSequence)$).*)$")
DRAWS = re.compile(r"^(np|numpy)\.random\.")
KEEPER = Path(__file__).resolve().parents[2] / "keeper"


def room_of(path: Path) -> str:
    return path.relative_to(KEEPER).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    return sorted(path for path in KEEPER.rglob("*.py") if path.parent != KEEPER or path.name != "__init__.py")


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, wherever in the file, with its line; `from a import b` gives a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def test_every_room_has_its_row() -> None:
    assert {room_of(path) for path in sources()} <= set(ROW)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(KEEPER)))
def test_imports_come_only_from_rows_above(path: Path) -> None:
    room = room_of(path)
    for module, line in imports_of(path):
        parts = module.split(".")
        if parts[0] != "keeper" or len(parts) < 2 or parts[1] in (room, "__version__"):
            continue
        other = parts[1]
        allowed = ROW[other] < ROW[room] or (room, other) in SAME_ROW
        assert allowed, f"{path.relative_to(KEEPER.parent)}:{line}: {room} may not import {other}"


def pure_sources() -> list[Path]:
    return [path for path in sources() if room_of(path) in PURE_ROOMS]


@pytest.mark.parametrize("path", pure_sources(), ids=lambda path: str(path.relative_to(KEEPER)))
def test_pure_room_touches_no_clock_no_file_no_chain_and_draws_nothing_of_its_own(path: Path) -> None:
    for module, line in imports_of(path):
        assert module.split(".")[0] not in WORLDLY, f"{path.name}:{line} imports {module}"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert not FORBIDDEN_CALLS.match(called), f"{path.name}:{node.lineno} calls {called}"
            assert node.args or not DRAWS.match(called), f"{path.name}:{node.lineno} calls {called} without a seed"


def test_pure_rooms_of_the_table_are_those_of_the_kernels() -> None:
    assert set(PURE_ROOMS) <= set(ROW)
    for room in PURE_ROOMS:
        assert (KEEPER / room / "__init__.py").is_file()


def test_every_package_that_is_imported_is_declared(root: Path) -> None:
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {canonical(re.split(r"[<>=~! ]", requirement)[0]) for requirement in declared}
    providers = metadata.packages_distributions()
    for path in sources():
        for module, line in imports_of(path):
            top = module.split(".")[0]
            if top == "keeper" or top in sys.stdlib_module_names:
                continue
            provided = {canonical(name) for name in providers.get(top, [])}
            assert provided & names, f"{path.name}:{line} imports {top}, which pyproject.toml does not name"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("heavy", ["ape", "matplotlib", "web3", "pandas"])
def test_command_line_answers_without_importing_what_is_slow(heavy: str) -> None:
    program = f"import sys; import keeper.cli; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
