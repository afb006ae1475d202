"""A quick decoder for big answers that are built of 32-byte words only: numbers, addresses, and arrays of such structs.

The layout is read from the ABI once. It decodes what the general decoder decodes, to the same values, in a tenth of
the time; types of any other length are not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from keeper.chain.abi import checksum
from keeper.errors import InputError

Decoder = Callable[[memoryview, int], Any]
"""From the data and the place of a value's head to the value; offsets count from the place of the enclosing struct."""

WORD: Final = 32


def _unsigned(data: memoryview, place: int) -> int:
    return int.from_bytes(data[place : place + WORD], "big")


def _signed(data: memoryview, place: int) -> int:
    return int.from_bytes(data[place : place + WORD], "big", signed=True)


def _flag(data: memoryview, place: int) -> bool:
    return data[place + WORD - 1] != 0


def _address(data: memoryview, place: int) -> str:
    return checksum("0x" + data[place + 12 : place + WORD].hex())


def _bytes32(data: memoryview, place: int) -> bytes:
    return bytes(data[place : place + WORD])


def decoder_of(parameter: Mapping[str, Any]) -> Callable[[bytes], Any]:
    """A decoder of a function's single result, which must be a struct with at least one array in it."""
    decode, _, is_dynamic = _compile(parameter)
    if not is_dynamic:
        raise InputError(f"{parameter['type']} has a fixed size: the general decoder will do")
    return lambda answer: decode(memoryview(answer), _unsigned(memoryview(answer), 0))


def _compile(parameter: Mapping[str, Any]) -> tuple[Decoder, int, bool]:
    """Decoder, size of the head in bytes, and whether the value lies elsewhere."""
    kind = str(parameter["type"])
    if kind.endswith("[]"):
        return _array(_compile({**parameter, "type": kind[:-2]})), WORD, True
    if kind == "tuple":
        return _struct([_compile(part) for part in parameter["components"]])
    simple = {"address": _address, "bool": _flag, "bytes32": _bytes32}
    if kind in simple:
        return simple[kind], WORD, False
    if kind.startswith("uint"):
        return _unsigned, WORD, False
    if kind.startswith("int"):
        return _signed, WORD, False
    raise InputError(f"a {kind} is not made of words")


def _struct(parts: Sequence[tuple[Decoder, int, bool]]) -> tuple[Decoder, int, bool]:
    fields, place = [], 0
    for decode, size, is_dynamic in parts:
        fields.append((decode, place, is_dynamic))
        place += size

    def decode_struct(data: memoryview, base: int) -> tuple[Any, ...]:
        return tuple(
            decode(data, base + _unsigned(data, base + offset) if is_dynamic else base + offset)
            for decode, offset, is_dynamic in fields
        )

    is_dynamic = any(dynamic for _, _, dynamic in parts)
    return decode_struct, WORD if is_dynamic else place, is_dynamic


def _array(item: tuple[Decoder, int, bool]) -> Decoder:
    decode, size, is_dynamic = item
    if is_dynamic:
        raise InputError("an array of values of varying size is not made of words")

    def decode_array(data: memoryview, base: int) -> tuple[Any, ...]:
        first = base + WORD
        return tuple(decode(data, first + index * size) for index in range(_unsigned(data, base)))

    return decode_array
