"""Make the tools that set-up installed known to `ape` and to a bare shell in the virtual environment.

- `anvil`, which ape-foundry looks for on PATH;
- the Solidity compiler, which ape-solidity looks for in SOLCX_BINARY_PATH;
- a start-up line for this environment's Python that sets both, so that `.venv/bin/ape` works without activation.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from keeper.chain.tools import find_anvil, node_package_version

BIN = Path(sys.prefix) / "bin"
COMPILERS = Path(sys.prefix) / "solcx"
STARTUP = """\
import os, sys; \
os.environ.setdefault("SOLCX_BINARY_PATH", os.path.join(sys.prefix, "solcx")); \
os.environ["PATH"] = os.environ.get("PATH", os.defpath) + os.pathsep + os.path.join(sys.prefix, "bin")
"""


def link(name: Path, target: Path) -> None:
    """Point `name` at `target`, whatever it was before."""
    name.parent.mkdir(parents=True, exist_ok=True)
    name.unlink(missing_ok=True)
    name.symlink_to(target)


def main() -> None:
    """Anvil and the compiler, and the start-up line."""
    (BIN / "anvil").unlink(missing_ok=True)
    link(BIN / "anvil", find_anvil())
    link(COMPILERS / f"solc-v{node_package_version('solc')}", Path(__file__).resolve().parent / "solc")
    (Path(sysconfig.get_path("purelib")) / "gamma_keeper_tools.pth").write_text(STARTUP)


if __name__ == "__main__":
    main()
