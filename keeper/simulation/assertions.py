"""Claims about a run's results: a dotted path or a number on each side of a comparison."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keeper.errors import InputError
from keeper.simulation.schema import Kind, shown
from keeper.simulation.yaml_tree import Node

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_NAME = r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*"
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_CLAIM = re.compile(rf"\s*({_NAME}|{_NUMBER})\s*(==|!=|<=|>=|<|>)\s*({_NAME}|{_NUMBER})\s*")


@dataclass(frozen=True, slots=True)
class Assertion:
    """``left operator right``, for example ``venues.home.bad_debt == 0``; the place is where the file says it."""

    text: str
    left: str
    operator: str
    right: str
    place: str

    def check(self, results: Mapping[str, Any]) -> Verdict:
        """Whether it holds for results of the shape of ``summary.json``. Unknown names raise ``InputError``."""
        left, right = self._value(self.left, results), self._value(self.right, results)
        return Verdict(self.text, self.place, _OPERATORS[self.operator](left, right), left, right)

    def _value(self, side: str, results: Mapping[str, Any]) -> float:
        if re.fullmatch(_NUMBER, side):
            return float(side)
        found: Any = results
        for key in side.split("."):
            if not isinstance(found, Mapping) or key not in found:
                known = ", ".join(map(str, found)) if isinstance(found, Mapping) else "nothing below it"
                raise InputError(f"{self.place}: assert: '{side}' is not in the results: no '{key}' among {known}")
            found = found[key]
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise InputError(f"{self.place}: assert: '{side}' is not a number in the results")
        return float(found)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an assertion, and the two numbers that it compared."""

    text: str
    place: str
    passed: bool
    left: float
    right: float

    def __str__(self) -> str:
        return f"{'passed' if self.passed else 'FAILED'}: {self.text} ({self.left:.6g} against {self.right:.6g})"


def _read(node: Node, path: str) -> Assertion:
    match = _CLAIM.fullmatch(node.value) if isinstance(node.value, str) else None
    if match is None:
        raise node.error(path, f"{shown(node.value)} is not a comparison such as 'vaults.scalper.pnl > 0'")
    return Assertion(node.value.strip(), match[1], match[2], match[3], f"{node.file}:{node.line}")


CLAIM = Kind(_read, {"type": "string", "pattern": "==|!=|<=|>=|<|>"}, lambda claim: claim.text)
"""The kind of setting that an assertion is."""
