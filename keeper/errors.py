"""The one tree of errors. What the user sees is one line; the process ends with the class's exit code.

    KeeperError                  1   something failed; the message says what, with its value, and what to do
    ├── InputError               2   a value that was handed to us is wrong; nothing has been sent
    └── ChainError               1   the chain, or the road to it, said no
        ├── NodeUnreachable      2   nobody answers at the address that was given
        ├── AnswerLost           1   a request left and no answer came: it may or may not have been carried out
        ├── RpcError             1   the node answered with an error
        └── Revert               1   a contract refused (keeper.chain.abi)

Two bases are enough to decide what to do: `InputError` means that the user must change something, `ChainError`
that asking again may help. Rooms add their own subclasses beside the code that raises them.
"""

from __future__ import annotations


class KeeperError(Exception):
    """Base of everything that we raise on purpose."""

    exit_code = 1


class InputError(KeeperError):
    """Bad input: says what was wrong, with the value, and what to do about it."""

    exit_code = 2


class ChainError(KeeperError):
    """The chain, or the road to it, said no."""


class NodeUnreachable(ChainError):
    """Nobody answers at the address that was given: a wrong address or a dead node, so the user's to fix."""

    exit_code = 2


class AnswerLost(ChainError):
    """A request left and no whole answer came back. Ask the chain what happened before sending anything again."""


class RpcError(ChainError):
    """The node answered a request with an error object."""

    def __init__(self, method: str, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{method} failed: {message} (code {code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data
