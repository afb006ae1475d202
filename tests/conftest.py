"""What all suites share.

ape's pytest plugin starts a node and takes a snapshot around every test, so it is switched off in pyproject.toml.
Only when `ape test` runs us does it get its say here, and then only `tests/ape` is collected.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
RUN_BY_APE = Path(sys.argv[0]).name == "ape"

if RUN_BY_APE:
    collect_ignore = [str(path) for path in Path(__file__).parent.iterdir() if path.name not in ("ape", "conftest.py")]
else:
    collect_ignore = ["ape"]

settings.register_profile("test", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))


def pytest_configure(config: pytest.Config) -> None:
    """Give ape's plugin the call that it misses by being switched off; its options are there already."""
    if RUN_BY_APE:
        from ape.pytest import plugin

        plugin.pytest_configure(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start the slowest files first, and leave the long runs out unless they are asked for with `-m`."""
    items.sort(key=lambda item: item.path.name not in ("test_readme.py", "test_scenarios.py"))
    if config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("soak") or item.get_closest_marker("fuzz")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in set(long)]


@pytest.fixture(autouse=True)
def _logs_are_heard() -> None:
    """A command that ran in this process may have sent our logs to stderr alone; `caplog` listens further up."""
    logging.getLogger("keeper").propagate = True


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def data(root: Path) -> Path:
    """Real market data beside the repository; tests that need it skip where it is not."""
    folder = root.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs market data in {folder}")
    return folder
