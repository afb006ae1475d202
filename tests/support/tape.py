"""Tapes of a property suite: random actions on a machine, and the shortest ones that break a law.

An action carries raw draws (a share, a leverage, an actor's number), which the machine turns into amounts when it plays
it. So a tape means something whatever is left out of it, and can be shrunk by leaving things out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

Draw = int | float | str


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody does, and the draws that it is made of."""

    name: str
    draws: Mapping[str, Draw]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value}' for key, value in self.draws.items())})"


class Broken(AssertionError):
    """A law that does not hold: its name, and the numbers."""

    def __init__(self, law: str, detail: str) -> None:
        super().__init__(f"{law}: {detail}")
        self.law = law


class Machine(Protocol):
    """A world that plays actions and knows its laws. Both methods raise `Broken`."""

    def act(self, action: Action) -> None: ...

    def check(self) -> None: ...


Build = Callable[[], Machine]
Choose = Callable[[Random], Action]


def play(build: Build, actions: Sequence[Action]) -> Broken | None:
    """Play a whole tape on a new machine; the first broken law, if any."""
    machine = build()
    for action in actions:
        try:
            machine.act(action)
            machine.check()
        except Broken as broken:
            return broken
    return None


def explore(build: Build, choose: Choose, seed: int, length: int) -> tuple[list[Action], Broken | None]:
    """Play random actions; what was played, and the law that it broke, if any."""
    machine, random, played = build(), Random(seed), []
    for _ in range(length):
        action = choose(random)
        played.append(action)
        try:
            machine.act(action)
            machine.check()
        except Broken as broken:
            return played, broken
    return played, None


def shrink(build: Build, actions: Sequence[Action], law: str, replays: int = 600) -> list[Action]:
    """The shortest tape found that breaks the same law, with the simplest draws, within so many replays."""
    left = replays

    def breaks(candidate: Sequence[Action]) -> bool:
        nonlocal left
        left -= 1
        broken = play(build, candidate) if left >= 0 else None
        return broken is not None and broken.law == law

    kept = list(actions)
    chunk = len(kept) // 2
    while chunk and left > 0:
        start = len(kept) - chunk
        while start > -chunk and left > 0:
            shorter = kept[: max(start, 0)] + kept[max(start, 0) + chunk :]
            if breaks(shorter):
                kept = shorter
            start -= chunk
        chunk //= 2
    for place, action in enumerate(kept):
        for simpler in _simpler(action):
            candidate = [*kept[:place], simpler, *kept[place + 1 :]]
            if left > 0 and breaks(candidate):
                kept = candidate
    return kept


def _simpler(action: Action) -> Iterator[Action]:
    """The same action with one draw rounded."""
    for key, value in action.draws.items():
        for rounded in (round(value, 1), round(value, 3)) if isinstance(value, float) else ():
            if rounded != value:
                yield Action(action.name, {**action.draws, key: rounded})
                break


def save(path: Path, header: Mapping[str, object], actions: Sequence[Action]) -> None:
    """Write a tape: its header, then an action a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(dict(header)), *(json.dumps({"do": each.name, **each.draws}) for each in actions)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load(path: Path) -> tuple[dict[str, object], list[Action]]:
    """Read a tape back."""
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in rest]
    return json.loads(first), [Action(record.pop("do"), record) for record in records]
