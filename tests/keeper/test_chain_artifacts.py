"""Compilation: only what is stale, safe side by side, and one clear message when it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keeper.chain import artifacts
from keeper.chain.artifacts import Artifact, Builder
from keeper.errors import InputError, KeeperError

HEADER = "// SPDX-License-Identifier: MIT\npragma solidity ^0.8.28;\n"


@pytest.fixture
def repository(tmp_path: Path, root: Path) -> Path:
    """Two contracts, one of which imports a third file."""
    (tmp_path / "node_modules").symlink_to(root / "node_modules")
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "Base.sol").write_text(HEADER + "abstract contract Base { uint256 public constant ONE = 1; }")
    (folder / "Child.sol").write_text(HEADER + 'import {Base} from "./Base.sol"; contract Child is Base {}')
    other = 'contract Other { string public s = "// no comment"; } // contract Ghost {}'
    (folder / "Other.sol").write_text(HEADER + other)
    return tmp_path


def results(repository: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in (repository / ".build-cache" / "artifacts").glob("*.json")}


def test_unchanged_sources_are_not_compiled_again(repository: Path) -> None:
    first = Builder(repository).load_all()
    before = results(repository)
    assert Builder(repository).load_all() == first
    assert results(repository) == before


def test_edited_import_recompiles_its_importers_and_nothing_else(repository: Path) -> None:
    before = Builder(repository).load_all()
    base = repository / "contracts" / "Base.sol"
    base.write_text(base.read_text().replace("ONE = 1", "ONE = 2"))
    again = Builder(repository)
    assert again.stale() == ["contracts/Base.sol", "contracts/Child.sol"]
    after = again.load_all()
    assert after["Child"].bytecode != before["Child"].bytecode
    assert after["Other"] == before["Other"]
    assert again.stale() == []


def test_load_compiles_only_the_contract_that_is_asked_for(repository: Path) -> None:
    (repository / "contracts" / "Broken.sol").write_text(HEADER + "contract Broken { uint256 x = y; }")
    assert Builder(repository).load("Other").deployable


def test_contract_that_does_not_compile_is_named_with_file_and_line(repository: Path) -> None:
    (repository / "contracts" / "Broken.sol").write_text(HEADER + "contract Broken {\n    uint256 x = missing;\n}")
    with pytest.raises(InputError, match=r"(?s)Undeclared identifier.*contracts/Broken\.sol:4"):
        Builder(repository).load("Broken")


def test_missing_import_is_named_with_the_path(repository: Path) -> None:
    (repository / "contracts" / "Lost.sol").write_text(HEADER + 'import "./Nowhere.sol"; contract Lost {}')
    with pytest.raises(InputError, match=r"contracts/Nowhere\.sol"):
        Builder(repository).load("Lost")


def test_unknown_contract_and_a_name_in_a_comment_are_not_found(repository: Path) -> None:
    for name in ("Nobody", "Ghost"):
        with pytest.raises(InputError, match=f"no contract is called {name}"):
            Builder(repository).load(name)


def test_name_used_twice_is_refused_with_both_files(repository: Path) -> None:
    (repository / "contracts" / "Copy.sol").write_text(HEADER + "contract Other {}")
    with pytest.raises(InputError, match=r"contracts/Copy\.sol and in contracts/Other\.sol"):
        Builder(repository)


def test_contract_too_large_for_a_chain_is_refused_when_it_is_loaded(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(Builder(repository).load("Other").runtime_bytecode)
    monkeypatch.setattr(artifacts, "MAX_RUNTIME_SIZE", size - 1)
    message = rf"Other has {size:,} bytes .* accepts {size - 1:,}: split contracts/Other.sol"
    with pytest.raises(KeeperError, match=message):
        Builder(repository).load("Other")


def test_processes_that_compile_at_once_agree_and_leave_one_result(repository: Path, root: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from keeper.chain.artifacts import Builder;"
        "print(Builder(Path(sys.argv[1])).load('Child').bytecode.hex())"
    )
    command = [sys.executable, "-c", program, str(repository)]
    running = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate(timeout=120)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(said) == 1
    assert len(results(repository)) == 1
    assert len(list((repository / ".build-cache" / "artifacts").iterdir())) == len(results(repository)) + 1  # the lock


def test_library_address_is_written_where_the_code_calls_it() -> None:
    probe = artifacts.load("ChainProbe")
    address = "0x" + "ab" * 20
    assert probe.libraries == ("ProbeLibrary",)
    linked = probe.linked({"ProbeLibrary": address})
    assert linked.count(bytes.fromhex("ab" * 20)) == len(probe.links) > 0
    assert len(linked) == len(probe.bytecode)


def test_base_fee_reads_are_instructions_and_never_data() -> None:
    probe = artifacts.load("ChainProbe")
    assert len(probe.base_fee_reads) == 1  # one `block.basefee` in the source
    assert probe.bytecode[probe.base_fee_reads[0]] == 0x48


def test_interface_has_no_code() -> None:
    artifact: Artifact = artifacts.load("IPriceFeed")
    assert not artifact.deployable
    assert artifact.abi
