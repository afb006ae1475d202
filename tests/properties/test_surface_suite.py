"""Invariants O-1 to O-7 of the volatility feed over long random tapes, on the real bytecode in the in-process EVM.

`make test` plays 20,000 actions, `make fuzz` 100,000. The laws are in `surface_laws`, who does what in
`surface_machine`.
"""

from __future__ import annotations

import pytest
from surface_suite import soak

HAPPENED = ("whole", "blended", "held", "shuffle", "replay", "stranger", "halt", "report: ReporterIsExcluded")
"""What every run must have seen; a suite that does nothing finds nothing."""


def check(seeds: range) -> None:
    done = soak(seeds)
    print(*(f"{what}: {count:,}" for what, count in sorted(done.items())), sep="\n")
    missing = [what for what in HAPPENED if not done.get(what)]
    assert not missing, (missing, done)


@pytest.mark.parametrize("part", range(4))
def test_laws_hold_over_random_tapes(part: int) -> None:
    check(range(part * 10, part * 10 + 10))


@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(10))
def test_laws_hold_over_many_random_tapes(part: int) -> None:
    check(range(1_000 + 20 * part, 1_020 + 20 * part))
