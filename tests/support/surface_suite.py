"""Random tapes on a volatility feed. `python tests/support/surface_suite.py TAPE` plays one again that broke a law."""

from __future__ import annotations

import sys
from pathlib import Path

from surface_machine import SurfaceMachine, choose
from tape import Broken, explore, load, play, save, shrink

LENGTH = 500
TAPES = Path(__file__).resolve().parents[2] / ".tapes"


def soak(seeds: range, tapes: Path = TAPES) -> dict[str, int]:
    """Play one random tape a seed; how often each thing was done.

    Raises `Broken` for the first law that does not hold, with the tape shrunk and written to disk.
    """
    total: dict[str, int] = {}
    for seed in seeds:
        machine = SurfaceMachine()
        actions, broken = explore(lambda made=machine: made, choose, seed, LENGTH)
        for what, count in machine.counts.items():
            total[what] = total.get(what, 0) + count
        if broken is not None:
            shortest = shrink(SurfaceMachine, actions, broken.law)
            path = tapes / f"surface-{seed}.jsonl"
            save(path, {"suite": "surface", "seed": seed, "law": broken.law}, shortest)
            steps = "\n  ".join(map(str, shortest))
            detail = f"{broken}\n{len(actions)} actions shrunk to {len(shortest)}, in {path}:\n  {steps}"
            raise Broken(broken.law, detail)
    return total


def main(path: Path) -> int:
    """Play a tape; 1 when it breaks a law."""
    _, actions = load(path)
    broken = play(SurfaceMachine, actions)
    print(f"{path}: {broken or 'every law holds'}")
    return 0 if broken is None else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
