"""Values to bytes and back, and the reasons of reverts."""

from __future__ import annotations

import pickle

import pytest
from eth_abi import decode as plain_decode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from keeper.chain import abi, artifacts
from keeper.chain.abi import Revert
from keeper.errors import ChainError, InputError

OWNER = "0x52908400098527886E0F7030069857D2E4169EE7"  # an address from the checksum standard's own list
ORDER = {"id": 7, "owner": OWNER, "sizes": [-1, 2]}


@pytest.fixture(scope="module")
def probe() -> abi.Interface:
    return abi.interface_of("ChainProbe")


def test_selector_of_a_struct_argument_is_the_hash_of_its_written_out_types(probe: abi.Interface) -> None:
    assert probe.function("echo", 1).selector == keccak(text="echo((uint256,address,int256[]))")[:4]


def test_struct_given_as_mapping_or_as_tuple_encodes_to_the_same_bytes(probe: abi.Interface) -> None:
    echo = probe.function("echo", 1)
    data = echo.encode([ORDER])
    assert data == echo.encode([(7, OWNER, [-1, 2])])
    assert plain_decode(["(uint256,address,int256[])"], data[4:]) == ((7, OWNER.lower(), (-1, 2)),)


@given(st.integers(0, 2**256 - 1), st.binary(min_size=20, max_size=20), st.lists(st.integers(-(2**255), 2**255 - 1)))
def test_encoded_values_decode_to_themselves(number: int, raw: bytes, sizes: list[int]) -> None:
    address = abi.checksum(raw)
    types = ["uint256", "address", "int256[]"]
    assert abi.decode(types, abi.encode(types, [number, address, sizes])) == (number, address, tuple(sizes))


def test_decoded_address_is_checksummed() -> None:
    assert abi.decode(["address"], bytes(12) + bytes.fromhex(OWNER[2:])) == (OWNER,)


def test_call_with_wrong_number_of_arguments_names_the_function(probe: abi.Interface) -> None:
    with pytest.raises(InputError, match=r"store takes 1 arguments, not 2"):
        probe.function("store", 2)


def test_call_with_a_value_that_does_not_fit_names_function_and_value(probe: abi.Interface) -> None:
    with pytest.raises(InputError, match=r"store\(uint256\) cannot take \(-1,\)"):
        probe.function("store", 1).encode([-1])


def test_struct_with_too_few_fields_names_those_that_it_has(probe: abi.Interface) -> None:
    with pytest.raises(InputError, match=r"order has 3 fields \(id, owner, sizes\), not 2"):
        probe.function("echo", 1).encode([(7, OWNER)])


def test_unknown_function_lists_those_that_exist(probe: abi.Interface) -> None:
    with pytest.raises(InputError, match=r"no function is called stor; there are .*store"):
        probe.function("stor", 1)


def test_overloads_are_told_apart_by_their_types_only_when_named(probe: abi.Interface) -> None:
    with pytest.raises(InputError, match="ambiguous"):
        probe.function("overloaded", 1)
    assert probe.function("overloaded(int256)", 1).input_types == ("int256",)


def test_empty_answer_asks_whether_a_contract_is_there(probe: abi.Interface) -> None:
    with pytest.raises(ChainError, match="is there a contract"):
        probe.function("value", 0).decode(b"")


def test_event_with_an_indexed_string_gives_its_hash_and_the_struct(probe: abi.Interface) -> None:
    event = probe.events["Noted"][0]
    data = abi.encode(["(uint256,address,int256[])"], [(7, OWNER, [-1, 2])])
    assert event.decode([event.topic, keccak(text="hello")], data) == {
        "note": keccak(text="hello"), "order": (7, OWNER, (-1, 2)),
    }  # fmt: skip


def standard_error(signature: str, value: object) -> bytes:
    kind = signature[signature.index("(") + 1 : -1]
    return keccak(text=signature)[:4] + abi.encode([kind], [value])


def custom_error() -> bytes:
    return keccak(text="Refused(uint256,address)")[:4] + abi.encode(["uint256", "address"], [13, OWNER])


@pytest.mark.parametrize(
    ("data", "name", "args", "text"),
    [
        (b"", "Empty", (), "reverted without a reason"),
        (standard_error("Error(string)", "no"), "Error", ("no",), "no"),
        (standard_error("Panic(uint256)", 0x12), "Panic", (0x12,), "Panic: division by zero"),
        (b"\xff\xff\xff\xff", "0xffffffff", (), "0xffffffff()"),
    ],
)  # fmt: skip
def test_revert_of_each_kind_is_decoded(data: bytes, name: str, args: tuple[object, ...], text: str) -> None:
    revert = Revert.from_data(data)
    assert (revert.name, revert.args, str(revert), revert.data) == (name, args, text, data)


def test_custom_error_of_any_compiled_contract_is_decoded_with_field_names() -> None:
    artifacts.load("ChainProbe")
    revert = Revert.from_data(custom_error())
    assert (revert.name, revert.args) == ("Refused", (13, OWNER))
    assert str(revert) == f"Refused(value=13, caller={OWNER!r})"


def test_revert_survives_the_way_between_processes() -> None:
    artifacts.load("ChainProbe")
    there = Revert.from_data(custom_error())
    back = pickle.loads(pickle.dumps(there))
    assert (back.name, back.args, back.data, str(back)) == (there.name, there.args, there.data, str(there))
