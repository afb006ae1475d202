"""What a contract says when it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keeper.chain.abi import Revert


def refusal(action: Callable[[], Any]) -> tuple[Any, ...]:
    """Name and arguments of the custom error that an action ends in."""
    with pytest.raises(Revert) as caught:
        action()
    return (caught.value.name, *caught.value.args)
