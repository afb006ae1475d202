"""The scenarios that come with the repository."""

from __future__ import annotations

from pathlib import Path

from keeper.chain.tools import ROOT
from keeper.errors import InputError


def folder() -> Path:
    """Where they are: in the repository, or beside the user."""
    return next((place for place in (ROOT / "scenarios", Path("scenarios")) if place.is_dir()), Path("scenarios"))


def files() -> list[Path]:
    """All of them, by name."""
    return sorted(folder().glob("*.yaml"))


def named(name: str) -> Path:
    """One of them. Raises ``InputError`` with the names that there are."""
    path = folder() / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(file.stem for file in files()) or "none"
        raise InputError(f"no scenario is called '{name}': there are: {known}")
    return path


def find(file: Path) -> Path:
    """A file as the user names it: a path, or the name of one that comes with the repository."""
    if file.is_file() or file.suffix or len(file.parts) > 1:
        return file
    return named(file.name)
