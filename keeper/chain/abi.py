"""Between Python values and the chain's bytes: function calls, constructors, events, and the reasons of reverts.

Integers stay integers, structs become tuples (and may be given as tuples or as mappings by field name), addresses are
checksummed strings, byte arrays are bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from typing import Any, Final

from eth_abi.codec import ABICodec
from eth_abi.decoding import AddressDecoder
from eth_abi.encoding import AddressEncoder
from eth_abi.exceptions import EncodingError
from eth_abi.registry import BaseEquals
from eth_abi.registry import registry as default_registry
from eth_typing import HexAddress
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper.chain import artifacts
from keeper.errors import ChainError, InputError

Json = Mapping[str, Any]

_PANICS: Final = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow or underflow",
    0x12: "division by zero",
    0x21: "bad enum value",
    0x22: "bad storage byte array",
    0x31: "pop of an empty array",
    0x32: "array index out of bounds",
    0x41: "out of memory",
    0x51: "call of an empty function pointer",
}

checksum = lru_cache(maxsize=65_536)(to_checksum_address)


class _ChecksumAddressDecoder(AddressDecoder):
    @staticmethod
    def decoder_fn(raw: bytes) -> HexAddress:  # type: ignore[override]  # its base takes strings as well
        return checksum(raw)


def _codec() -> ABICodec:
    registry = default_registry.copy()  # type: ignore[no-untyped-call]
    registry.unregister("address")
    is_address = BaseEquals("address")  # type: ignore[no-untyped-call]
    registry.register(is_address, AddressEncoder, _ChecksumAddressDecoder, label="address")
    return ABICodec(registry)


_CODEC: Final = _codec()


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """ABI-encode values of the given types."""
    return _CODEC.encode(types, values)


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Values of the given types from their ABI encoding."""
    return _CODEC.decode(types, data)


def type_of(parameter: Json) -> str:
    """The canonical type of an ABI parameter, with structs written out as tuples: `(uint256,address)[]`."""
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(type_of, parameter['components']))}){kind.removeprefix('tuple')}"


def _plain(value: Any, parameter: Json) -> Any:
    """The value with every mapping replaced by the tuple that its struct asks for, and contracts by their address."""
    kind = str(parameter["type"])
    if kind.endswith("]"):
        inner = {**parameter, "type": kind[: kind.rindex("[")]}
        return [_plain(item, inner) for item in value]
    if kind == "tuple":
        parts = parameter["components"]
        items = [value[part["name"]] for part in parts] if isinstance(value, Mapping) else value
        if len(items) != len(parts):
            names = ", ".join(part["name"] for part in parts)
            raise ValueError(f"{parameter['name']} has {len(parts)} fields ({names}), not {len(items)}")
        return tuple(_plain(item, part) for item, part in zip(items, parts, strict=True))
    if kind == "address":
        return getattr(value, "address", value)
    return value


@dataclass(frozen=True)
class Function:
    """One function of a contract, or its constructor (with an empty selector)."""

    name: str
    selector: bytes
    inputs: tuple[Json, ...]
    outputs: tuple[Json, ...]

    @cached_property
    def input_types(self) -> tuple[str, ...]:
        """Canonical types of the arguments."""
        return tuple(map(type_of, self.inputs))

    @cached_property
    def output_types(self) -> tuple[str, ...]:
        """Canonical types of the results."""
        return tuple(map(type_of, self.outputs))

    @cached_property
    def _nested(self) -> bool:
        return any(kind.startswith(("(", "address")) or "]" in kind for kind in self.input_types)

    def encode(self, arguments: Sequence[Any]) -> bytes:
        """Call data. Raises `InputError` when the arguments do not fit."""
        if len(arguments) != len(self.inputs):
            raise InputError(f"{self} takes {len(self.inputs)} arguments, not {len(arguments)}")
        try:
            if self._nested:
                arguments = [_plain(value, part) for value, part in zip(arguments, self.inputs, strict=True)]
            return self.selector + encode(self.input_types, arguments)
        except (EncodingError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self} cannot take {tuple(arguments)!r}: {error}") from error

    def decode(self, data: bytes) -> Any:
        """The result: nothing, the single value, or a tuple of them."""
        if not self.outputs:
            return None
        if not data:
            raise ChainError(f"{self} returned nothing: is there a contract at that address?")
        values = decode(self.output_types, data)
        return values[0] if len(values) == 1 else values

    def __str__(self) -> str:
        return f"{self.name or 'constructor'}({','.join(self.input_types)})"


@dataclass(frozen=True)
class Event:
    """One event: its name and its parameters in order."""

    name: str
    topic: bytes
    inputs: tuple[Json, ...]

    @property
    def indexed(self) -> int:
        """How many parameters travel in topics."""
        return sum(bool(part["indexed"]) for part in self.inputs)

    def decode(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """Parameters by name. An indexed string, bytes, array or struct is only there as its 32-byte hash."""
        in_data = [part for part in self.inputs if not part["indexed"]]
        values = iter(decode([type_of(part) for part in in_data], data))
        hashes = iter(topics[1:])
        return {
            part["name"]: _from_topic(part, next(hashes)) if part["indexed"] else next(values) for part in self.inputs
        }


def _from_topic(parameter: Json, topic: bytes) -> Any:
    kind = type_of(parameter)
    return topic if kind in ("string", "bytes") or kind.endswith((")", "]")) else decode([kind], topic)[0]


@dataclass(frozen=True)
class Interface:
    """A contract's ABI, ready to use."""

    functions: dict[str, tuple[Function, ...]]
    signatures: dict[str, Function]
    constructor: Function
    events: dict[str, tuple[Event, ...]] = field(default_factory=dict)

    def function(self, name: str, arguments: int) -> Function:
        """The function by name (or by `name(types)`) that takes so many arguments."""
        if "(" in name and name in self.signatures:
            return self.signatures[name]
        found = self.functions.get(name, ())
        fitting = [function for function in found if len(function.inputs) == arguments]
        if len(fitting) == 1:
            return fitting[0]
        if len(fitting) > 1:
            raise InputError(f"{name} is ambiguous; say which: {', '.join(map(str, fitting))}")
        if found:
            raise InputError(f"{name} takes {len(found[0].inputs)} arguments, not {arguments}: {found[0]}")
        raise InputError(f"no function is called {name}; there are {', '.join(sorted(self.functions))}")


def interface(abi: Iterable[Json]) -> Interface:
    """Read an ABI."""
    functions: dict[str, tuple[Function, ...]] = {}
    events: dict[str, tuple[Event, ...]] = {}
    constructor = Function("", b"", (), ())
    for entry in abi:
        inputs = tuple(entry.get("inputs", ()))
        if entry["type"] == "constructor":
            constructor = Function("", b"", inputs, ())
        elif entry["type"] == "function":
            function = Function(entry["name"], _hash(entry)[:4], inputs, tuple(entry["outputs"]))
            functions[function.name] = (*functions.get(function.name, ()), function)
        elif entry["type"] == "event" and not entry.get("anonymous"):
            events[entry["name"]] = (*events.get(entry["name"], ()), Event(entry["name"], _hash(entry), inputs))
    signatures = {str(function): function for overloads in functions.values() for function in overloads}
    return Interface(functions, signatures, constructor, events)


@cache
def interface_of(name: str) -> Interface:
    """The interface of the contract called `name`."""
    return interface(artifacts.load(name).abi)


def _hash(entry: Json) -> bytes:
    return keccak(text=f"{entry['name']}({','.join(map(type_of, entry['inputs']))})")


@dataclass
class _Known:
    """Errors and events of every contract that is compiled, by selector and by topic."""

    errors: dict[bytes, Json] = field(default_factory=dict)
    events: dict[tuple[bytes, int], Event] = field(default_factory=dict)
    contracts: int = 0

    def error(self, selector: bytes) -> Json | None:
        if selector not in self.errors:
            self._refresh()
        return self.errors.get(selector)

    def event(self, topics: Sequence[bytes]) -> Event | None:
        key = (topics[0], len(topics) - 1) if topics else (b"", 0)
        if key not in self.events:
            self._refresh()
        return self.events.get(key)

    def _refresh(self) -> None:
        compiled = artifacts.cached()
        if len(compiled) == self.contracts:
            return
        self.contracts = len(compiled)
        for artifact in compiled.values():
            for entry in artifact.abi:
                if entry["type"] == "error":
                    self.errors[_hash(entry)[:4]] = entry
            for events in interface(artifact.abi).events.values():
                self.events.update({(event.topic, event.indexed): event for event in events})


_KNOWN: Final = _Known()


def decode_event(topics: Sequence[bytes], data: bytes) -> tuple[str, dict[str, Any]] | None:
    """Name and parameters of a log that any of our contracts may have emitted, or None when none of them did."""
    event = _KNOWN.event(topics)
    return None if event is None else (event.name, event.decode(topics, data))


class Revert(ChainError):
    """A contract refused. `name` and `args` are its custom error; `data` the raw bytes.

    `require` texts come as `Error(text)`, failed checks of the language as `Panic(code)`, running out of gas and the
    like as `Halt(reason)`, and a revert without data as `Empty()`.
    """

    def __init__(self, name: str, args: Sequence[Any] = (), data: bytes = b"", fields: Sequence[str] = ()) -> None:
        super().__init__(*args)
        self.name = name
        self.args = tuple(args)
        self.data = data
        self.fields = tuple(fields)

    @classmethod
    def from_data(cls, data: bytes) -> Revert:
        """The reason that a contract gave, decoded by what we know of all compiled contracts."""
        selector, body = data[:4], data[4:]
        if not data:
            return cls("Empty")
        if selector == b"\x08\xc3\x79\xa0":
            return cls("Error", decode(["string"], body), data)
        if selector == b"\x4e\x48\x7b\x71":
            return cls("Panic", decode(["uint256"], body), data)
        entry = _KNOWN.error(selector)
        if entry is None:
            return cls(f"0x{selector.hex()}", (), data)
        inputs = entry["inputs"]
        return cls(entry["name"], decode([type_of(part) for part in inputs], body), data, [p["name"] for p in inputs])

    def __str__(self) -> str:
        if self.name == "Panic":
            return f"Panic: {_PANICS.get(self.args[0], hex(self.args[0]))}"
        if self.name == "Error":
            return str(self.args[0])
        if self.name == "Empty":
            return "reverted without a reason"
        names = self.fields or ("",) * len(self.args)
        parts = [f"{name}={value!r}" if name else repr(value) for name, value in zip(names, self.args, strict=True)]
        return f"{self.name}({', '.join(parts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Revert, (self.name, self.args, self.data, self.fields)
