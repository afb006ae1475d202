"""`keeper up` with a number that no chain can be started with: one line, exit code 2, and nothing started."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeper import cli


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "99999"), ("--port", "-1"), ("--block-time", "0"), ("--speed", "0"), ("--speed", "nan"),
        ("--speed", "-3"), ("--fork-url", "http://127.0.0.1:1"),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_line_that_names_it(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["up", option, value]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert option in said.err
    assert value.removesuffix(".0") in said.err
    assert list(tmp_path.iterdir()) == []
