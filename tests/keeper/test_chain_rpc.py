"""JSON-RPC: what is sent is counted, what fails says so at once, and nothing is sent twice."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from keeper.chain import accounts
from keeper.chain.abi import Revert
from keeper.chain.node import Anvil
from keeper.chain.rpc import Rpc, RpcBackend
from keeper.errors import AnswerLost, ChainError, InputError, NodeUnreachable, RpcError


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with Anvil() as chain:
        yield chain


@pytest.mark.anvil
@pytest.mark.parametrize("way", ["ipc", "url"])
def test_each_call_is_one_request_on_either_way(anvil: Anvil, way: str) -> None:
    probe = anvil.deploy("ChainProbe", 5)
    with Rpc(getattr(anvil, way)) as rpc:
        assert int.from_bytes(RpcBackend(rpc).call(probe.address, probe.encode("value")), "big") == 5
        assert rpc.count == 1
        assert rpc.batch([("eth_chainId", ()), ("eth_blockNumber", ())])[0] == "0x7a69"
        assert rpc.count == 3


@pytest.mark.anvil
def test_answer_of_a_megabyte_arrives_whole(anvil: Anvil) -> None:
    code = "0x" + "7d" * 500_000  # every byte is a closing bracket
    anvil.rpc.call("anvil_setCode", "0x" + "99" * 20, code)
    for address in (anvil.ipc, anvil.url):
        assert Rpc(address).call("eth_getCode", "0x" + "99" * 20, "latest") == code


@pytest.mark.anvil
def test_refusal_by_a_contract_is_a_revert_and_by_the_node_an_rpc_error(anvil: Anvil) -> None:
    probe = anvil.deploy("ChainProbe", 5)
    with pytest.raises(Revert, match="Refused") as refusal:
        probe.call("store", 13)
    assert refusal.value.args[0] == 13
    with pytest.raises(RpcError, match="eth_nonsense") as error:
        anvil.rpc.call("eth_nonsense")
    assert (error.value.method, error.value.code) == ("eth_nonsense", -32_602)


@pytest.mark.anvil
def test_mined_transaction_that_failed_raises_the_contracts_reason(anvil: Anvil) -> None:
    probe = anvil.deploy("ChainProbe", 5)
    blind = RpcBackend(anvil.rpc, sender=anvil.account("trader"), mine=True, gas=1_000_000)  # no estimate to stop it
    with pytest.raises(Revert, match="Refused"):
        blind.send(probe.address, probe.encode("store", 13))


@pytest.mark.anvil
def test_account_with_a_key_signs_for_itself(anvil: Anvil) -> None:
    probe = anvil.deploy("ChainProbe", 5)
    signer = anvil.account("signer")
    backend = RpcBackend(Rpc(anvil.url), keys={signer: accounts.key_of("signer")}, sender=signer, mine=True)
    receipt = backend.send(probe.address, probe.encode("store", 6))
    assert receipt.events("Stored") == [{"caller": signer, "value": 6, "note": "kept"}]
    assert probe.call("stores", signer) == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "/nonexistent/anvil.ipc"])
def test_dead_address_is_one_line_that_names_it(address: str) -> None:
    with pytest.raises(NodeUnreachable, match=f"no node answers at {address}") as error:
        Rpc(address).call("eth_chainId")
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["ws://127.0.0.1:8545", "http://"])
def test_address_of_no_known_kind_is_bad_input(address: str) -> None:
    with pytest.raises(InputError):
        Rpc(address)


@contextmanager
def socket_server(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[list[bytes]]:
    """A unix socket that reads one request, then does what it likes."""
    received: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()

    def run() -> None:
        with listener.accept()[0] as connection:
            received.append(connection.recv(1 << 16))
            serve(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        thread.join(5)
        listener.close()


@pytest.mark.parametrize("said", [b"", b'{"jsonrpc": "2.0", "id": 1, "resu'])
def test_node_that_dies_while_answering_is_noticed_at_once_and_not_asked_again(tmp_path: Path, said: bytes) -> None:
    with socket_server(tmp_path / "ipc", lambda connection: connection.sendall(said)) as received:
        started = time.monotonic()
        with pytest.raises(AnswerLost, match="closed the connection"):
            Rpc(tmp_path / "ipc").call("eth_sendRawTransaction", "0x00")
        assert time.monotonic() - started < 2
    assert len(received) == 1


def test_node_that_says_nothing_is_given_up_after_the_timeout(tmp_path: Path) -> None:
    with socket_server(tmp_path / "ipc", lambda _: time.sleep(1)), pytest.raises(AnswerLost, match="timed out"):
        Rpc(tmp_path / "ipc", timeout=0.2).call("eth_chainId")


def test_answer_in_small_pieces_is_put_together(tmp_path: Path) -> None:
    answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"a": [{"b": "}"}], "c": "]"}}).encode()

    def dribble(connection: socket.socket) -> None:
        for i in range(len(answer)):
            connection.sendall(answer[i : i + 1])

    with socket_server(tmp_path / "ipc", dribble):
        assert Rpc(tmp_path / "ipc").call("x") == {"a": [{"b": "}"}], "c": "]"}


@contextmanager
def http_server(status: int, body: bytes) -> Iterator[tuple[str, list[bytes]]]:
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [429, 503])
def test_http_error_is_told_and_not_retried(status: int) -> None:
    with http_server(status, b"busy") as (url, received):
        with pytest.raises(ChainError, match=f"HTTP {status} and no JSON: busy"):
            Rpc(url).call("eth_sendRawTransaction", "0x00")
        assert len(received) == 1


def test_connection_that_the_server_closed_in_between_is_opened_again() -> None:
    body = b'{"jsonrpc": "2.0", "id": 1, "result": "0x1"}'
    with http_server(200, body) as (url, received):  # an HTTP/1.0 server: it closes after every answer
        rpc = Rpc(url)
        for _ in range(3):
            assert rpc.call("eth_chainId") == "0x1"
            time.sleep(0.05)
        assert len(received) == 3
