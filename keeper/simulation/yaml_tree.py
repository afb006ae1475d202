"""YAML 1.2 as a tree that remembers where everything stood, so that every complaint can name its line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from keeper.errors import InputError


@dataclass(frozen=True)
class Node:
    """One value of a document: a scalar, or a mapping or list of nodes, and the place where it was written."""

    value: Any
    file: str
    line: int

    def error(self, path: str, problem: str) -> InputError:
        """The complaint about this value: ``file:line: path: problem``."""
        return InputError(f"{self.file}:{self.line}: {f'{path}: ' if path else ''}{problem}")

    def plain(self) -> Any:
        """The value in plain Python."""
        if self.is_mapping:
            return {key: item.plain() for key, item in self.value.items()}
        return [item.plain() for item in self.value] if isinstance(self.value, list) else self.value

    def at(self, path: str) -> Node:
        """The node at a path such as ``shocks[0].at`` below this one, or the last one on the way to it."""
        node = self
        for key in path.replace("[", ".").replace("]", "").split("."):
            if node.is_mapping and key in node.value:
                node = node.value[key]
            elif isinstance(node.value, list) and key.isdecimal() and int(key) < len(node.value):
                node = node.value[int(key)]
            else:
                break
        return node

    @property
    def is_mapping(self) -> bool:
        """Whether the value is a mapping of keys to nodes."""
        return isinstance(self.value, dict)


def read(path: Path) -> Node:
    """The tree of a file. Raises ``InputError`` when it is missing or no YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; `keeper scenario list` shows what there is") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file: {error.reason} at byte {error.start}") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Node:
    """The tree of a document; ``name`` is what complaints call it."""
    try:
        return _node(YAML(typ="rt").load(text), name, 1)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise InputError(f"{name}:{line}: not valid YAML: {error.problem or error.context}") from None
    except (YAMLError, ValueError) as error:  # a character that YAML does not allow; a date that does not exist
        raise InputError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InputError(f"{name}: not a scenario: it is nested too deep") from None


def from_python(value: Any, source: str) -> Node:
    """A tree of plain Python values; ``source`` says where they come from, for complaints (``--prices``, say)."""
    if isinstance(value, Mapping):
        return Node({str(key): from_python(item, source) for key, item in value.items()}, source, 1)
    if isinstance(value, list | tuple):
        return Node([from_python(item, source) for item in value], source, 1)
    return Node(value, source, 1)


def merge(base: Node, over: Node) -> Node:
    """``over`` on top of ``base``: mappings merge key by key, anything else is replaced."""
    if not (base.is_mapping and over.is_mapping):
        return over
    merged = dict(base.value)
    for key, item in over.value.items():
        merged[key] = merge(merged[key], item) if key in merged else item
    return Node(merged, over.file, over.line)


def put(base: Node, path: str, value: Node) -> Node:
    """``base`` with the value at a dotted path replaced."""
    for key in reversed(path.split(".")):
        value = Node({key: value}, value.file, value.line)
    return merge(base, value)


def without(base: Node, *paths: str) -> Node:
    """``base`` without the values at dotted paths; a path that is not there is no matter."""
    for path in paths:
        head, _, rest = path.partition(".")
        if not base.is_mapping or head not in base.value:
            continue
        items = dict(base.value)
        child = items.pop(head)
        if rest:
            items[head] = without(child, rest)
        base = Node(items, base.file, base.line)
    return base


def _node(value: Any, file: str, line: int) -> Node:
    if isinstance(value, CommentedMap):
        items = {str(key): _node(item, file, _line(value.lc.value, key, line)) for key, item in value.items()}
        return Node(items, file, line)
    if isinstance(value, CommentedSeq):
        return Node([_node(item, file, _line(value.lc.item, i, line)) for i, item in enumerate(value)], file, line)
    return Node(value, file, line)


def _line(locate: Any, key: Any, fallback: int) -> int:
    try:
        return int(locate(key)[0]) + 1
    except (KeyError, TypeError, AttributeError):
        return fallback
