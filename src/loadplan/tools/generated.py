"""Writes classes that describe the results of plans: Protocols for ``typed=``, view classes for ``into=``."""

import builtins
import enum
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias, get_args

import attrs
from sqlalchemy.orm import ColumnProperty, Mapper, RelationshipProperty

from loadplan.mapped import mapping
from loadplan.plan import LoadPlan
from loadplan.resolved.fitting import python_type, why_empty
from loadplan.resolved.parts import DeclaredPlace
from loadplan.resolved.tree import Shape

Kind: TypeAlias = Literal["protocol", "attrs", "dataclass", "pydantic", "msgspec"]
"""The classes to write: Protocols, or view classes of a library."""

KINDS: tuple[str, ...] = get_args(Kind)

#: How a class of each kind begins, and what its module imports.
_CLASSES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "protocol": (("from typing import Protocol",), "", "class {}(Protocol):"),
    "attrs": (("import attrs",), "@attrs.frozen", "class {}:"),
    "dataclass": (("from dataclasses import dataclass",), "@dataclass(frozen=True, slots=True)", "class {}:"),
    "pydantic": (("from pydantic import BaseModel",), "", "class {}(BaseModel):"),
    "msgspec": (("import msgspec",), "", "class {}(msgspec.Struct, frozen=True):"),
}


#: The docstring of a written module: it names the plans and the kind of classes.
_MADE_BY = re.compile(r"What the plans load\. Made by ``(loadplan types (\S+)(?: --as (\w+))?(?: --out \S+)?)``")


def made_by(doc: str | None) -> tuple[str, str, str] | None:
    """Return (command, module of the plans, kind) from the docstring of a written module; None for other modules."""
    found = _MADE_BY.match(doc or "")
    return None if found is None or found[3] not in {None, *KINDS} else (found[1], found[2], found[3] or "protocol")


def source_of_types(plans: Iterable[tuple[str, LoadPlan[Any]]], command: str, kind: Kind = "protocol") -> str:
    """Return a module with a class for each plan of entities, and one for each place below it. Pure.

    Args:
        plans: pairs of the name in a module and the plan, such as ``("USER_PAGE", plan)``. Plans with ``into=`` are
            skipped, because they have a class.
        command: the command line, for the head of the module.
        kind: the kind of classes.
    """
    writer = _Writer(kind)
    for name, plan in plans:
        mapper = mapping.mapper_of(plan.entity)
        if plan.into is None and mapper is not None:
            doc = f"The attributes of {_article(mapper)} that plan {name} loads."
            writer.class_of(_class_name(name), DeclaredPlace(mapper, [plan]), doc, {})
    return writer.module(command)


def _class_name(name: str) -> str:
    """Return ``UserPage`` for ``USER_PAGE``."""
    words = [word for word in "".join(each if each.isalnum() else "_" for each in name).split("_") if word]
    return "".join(
        word.capitalize() if word.isupper() or word.islower() else word[0].upper() + word[1:] for word in words
    )


def _article(mapper: Mapper[Any]) -> str:
    name = mapper.class_.__name__
    return f"{'an' if name[0] in 'AEIOU' and not _SOUNDS_LIKE_YOU.match(name) else 'a'} {name}"


#: Words in "u" that take "a": a User, a Unit, a Url. But: an Upload.
_SOUNDS_LIKE_YOU = re.compile(r"U[nrst][aeiou]|Eu|UR|UUID|Uuid|Url|One")


@attrs.define
class _Writer:
    """Collects classes, the innermost first, and their imports."""

    kind: Kind
    classes: list[str] = attrs.field(factory=list)
    imports: set[str] = attrs.field(factory=set)

    def class_of(self, name: str, place: DeclaredPlace, doc: str, around: dict[Any, str]) -> None:
        """Write the class of a place, after the classes of the places below it."""
        mapper = place.mapper
        fields: list[tuple[str, str]] = []
        columns = place.loaded_columns()
        fields += [
            (prop.key, self.column(mapper, prop)) for prop in mapping.column_attributes(mapper) if prop.key in columns
        ]
        for key, items in place.loads().items():
            prop = mapper.relationships[key]
            inner = around.get(prop)
            if inner is None:
                inner = f"{name}{_class_name(key)}"
                below = place.below(key)
                edge = f"{mapper.class_.__name__}.{key}"
                told = f"The attributes of {_article(below.mapper)} that the plan loads at {edge}."
                tree = {**around, prop: inner} if items[0].depth == "all" else around
                self.class_of(inner, below, told, tree)
            else:
                inner = f'"{inner}"'
            fields.append(
                (key, self.relationship(prop, inner, Shape(where=items[0].where or (), depth=items[0].depth)))
            )
        self.write(name, doc, fields)

    def write(self, name: str, doc: str, fields: list[tuple[str, str]]) -> None:
        """Write a class. In a Protocol, write read-only properties, because mapped attributes match these."""
        imports, decorator, head = _CLASSES[self.kind]
        self.imports.update(imports)
        lines = [*([decorator] if decorator else []), head.format(name), f'    """{doc}"""', ""]
        for field, annotation in fields:
            if self.kind == "protocol":
                lines += ["    @property", f"    def {field}(self) -> {annotation}: ..."]
            else:
                lines.append(f"    {field}: {annotation}")
        self.classes.append("\n".join(lines))

    def column(self, mapper: Mapper[Any], prop: ColumnProperty[Any]) -> str:
        """Return the annotation of a column."""
        kind = python_type(prop.columns[0].type)
        name = self.name_of(kind)
        return f"{name} | None" if name != "Any" and mapping.may_be_null(mapper, prop.key) else name

    def name_of(self, kind: type | None) -> str:
        """Return the name of a class, and note the import that the name needs."""
        if kind is None or "<" in kind.__qualname__:  # the type is unknown, or a class within a function
            self.imports.add("from typing import Any")
            return "Any"
        if kind in {list, dict}:
            self.imports.add("from typing import Any")
            return "list[Any]" if kind is list else "dict[str, Any]"
        name = str(kind.__name__)
        if getattr(builtins, name, None) is kind:
            return name
        if issubclass(kind, enum.Enum):
            self.imports.add(f"from {kind.__module__} import {kind.__qualname__.partition('.')[0]}")
            return kind.__qualname__
        self.imports.add(f"import {kind.__module__}")
        return f"{kind.__module__}.{kind.__qualname__}"

    def relationship(self, prop: RelationshipProperty[Any], inner: str, shape: Shape) -> str:
        """Return the annotation of a relationship."""
        if not prop.uselist:
            if why_empty(prop, shape) is None:
                return inner
            return f'"{inner.strip(chr(34))} | None"' if inner.startswith('"') else f"{inner} | None"
        made: Any = prop.collection_class or list
        held: type[Any] = made if isinstance(made, type) else type(made())
        is_protocol = self.kind == "protocol"
        if issubclass(held, dict):
            self.imports.add("from typing import Any")
            return f"{self.abstract('Mapping') if is_protocol else 'dict'}[Any, {inner}]"
        if issubclass(held, set):
            return f"{self.abstract('Set') if is_protocol else 'set'}[{inner}]"
        return f"{self.abstract('Sequence') if is_protocol else 'list'}[{inner}]"

    def abstract(self, name: str) -> str:
        """Return the name of an abstract collection, and note its import."""
        self.imports.add(f"from collections.abc import {name}")
        return name

    def module(self, command: str) -> str:
        """Return the whole module."""
        head = f'"""What the plans load. Made by ``{command}``; run it again when a plan changes."""'
        plain = sorted(each for each in self.imports if each.startswith("import"))
        lines = "\n".join([*plain, *_joined(each for each in self.imports if each.startswith("from"))])
        return "\n\n".join(filter(None, [head, lines])) + "\n\n\n" + "\n\n\n".join(self.classes) + "\n"


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Yield one import statement for each module."""
    names: dict[str, list[str]] = {}
    for line in sorted(lines):
        module, _, name = line.removeprefix("from ").partition(" import ")
        names.setdefault(module, []).append(name)
    yield from (f"from {module} import {', '.join(found)}" for module, found in names.items())
