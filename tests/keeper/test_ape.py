"""`ape test` in a repository of ours: a small copy, so that ape need not compile everything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """The repository with one contract in it."""
    project = tmp_path / "project"
    shutil.copytree(root / "contracts" / "interfaces", project / "contracts" / "interfaces")
    shutil.copytree(root / "tests" / "ape", project / "tests" / "ape", ignore=shutil.ignore_patterns("__pycache__"))
    (project / "contracts" / "oracle").mkdir()
    oracle = (f"contracts/oracle/{name}.sol" for name in ("PriceFeed", "PriceHistory", "Aggregators"))
    for name in (*oracle, "tests/conftest.py", "ape-config.yaml", "pyproject.toml"):
        shutil.copy(root / name, project / name)
    (project / "node_modules").symlink_to(root / "node_modules")
    return project


@pytest.mark.anvil
def test_ape_test_in_a_fresh_home_compiles_deploys_and_passes(copy: Path, tmp_path: Path) -> None:
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SOLCX", "PYTEST"))}
    environment |= {"HOME": str(home), "TMPDIR": str(scratch)}  # ape treats a project inside TMPDIR differently
    ape = Path(sys.executable).with_name("ape")
    done = subprocess.run([ape, "test"], cwd=copy, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
