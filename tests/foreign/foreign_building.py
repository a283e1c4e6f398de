"""Turn a description of an application's models into live mappings (imperative ones)."""

import contextlib
import itertools
import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.sql import operators

FOLDER = Path(__file__).with_name("descriptions")
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))

_numbers = itertools.count(1)


def described(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FOLDER.joinpath(f"{name}.json").read_text())
    return found


class OwnUuid(sa.types.TypeDecorator[uuid.UUID]):
    """A UUID type of the application's own: it binds objects and text, and says nothing of its Python type."""

    impl = sa.types.TypeEngine
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        return dialect.type_descriptor(postgresql.UUID(as_uuid=False) if dialect.name == "postgresql" else sa.CHAR(36))

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else str(uuid.UUID(str(value)))

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> uuid.UUID | None:
        return None if value is None else uuid.UUID(value)


class OwnCharUuid(OwnUuid):
    """The same, and its implementation says that the values are text."""

    impl = sa.CHAR
    cache_ok = True


class OwnText(sa.types.TypeDecorator[str]):
    """Text that looks otherwise in the database."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else f"~{value}"

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else value[1:]


class OwnJson(sa.types.TypeDecorator[Any]):
    """Documents held as text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)


class OwnOther(sa.types.TypeDecorator[Any]):
    """A decorated type that changes nothing."""

    impl = sa.types.TypeEngine
    cache_ok = False

    def __init__(self, below: Any) -> None:
        super().__init__()
        self.impl = below


def kind_of(described_type: dict[str, Any]) -> str:
    """Return the kind of the values of a column."""
    if described_type["kind"] != "decorated":
        return str(described_type["kind"])
    name, below = described_type["name"].lower(), described_type["of"]
    if "uuid" in name or "guid" in name:
        return "uuid"
    if "json" in name or "dict" in name or "list" in name or "options" in name:
        return "json"
    return kind_of(below)


#: PostgreSQL has no index of json, and some applications have it in a unique key.
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def make_type(given: dict[str, Any]) -> Any:
    kind = given["kind"]
    if kind == "decorated":
        values = kind_of(given)
        if values == "uuid":
            return OwnCharUuid() if given["of"]["kind"] == "char" else OwnUuid()
        if values == "json":
            return _JSON if given["of"]["kind"] == "json" else OwnJson()
        return OwnText() if values in {"string", "text", "char"} else OwnOther(make_type(given["of"]))
    if kind == "enum":
        return sa.Enum(*given["values"], native_enum=False, length=max(map(len, given["values"]), default=1))
    if kind == "array":
        return sa.JSON().with_variant(postgresql.ARRAY(make_type(given["of"])), "postgresql")
    if kind in {"string", "char"}:
        return sa.String(given["length"]) if given.get("length") else sa.String()
    if kind == "numeric":
        return sa.Numeric(given["precision"], given["scale"])
    if kind == "datetime":
        return sa.DateTime(timezone=given.get("timezone", False))
    plain: dict[str, Any] = {
        "boolean": sa.Boolean,
        "integer": sa.Integer,
        "big integer": sa.BigInteger,
        "float": sa.Float,
        "uuid": sa.Uuid,
        "text": sa.Text,
        "date": sa.Date,
        "time": sa.Time,
        "interval": sa.Interval,
        "json": lambda: _JSON,
        "binary": sa.LargeBinary,
    }
    return plain[kind]()


@attrs.define
class Application:
    """The live mappings of one description.

    Attributes:
        left_out: what the description has and SQLAlchemy did not take, with the reason.
    """

    name: str
    description: dict[str, Any]
    registry: orm.registry = attrs.field(factory=orm.registry)
    tables: dict[str, sa.Table] = attrs.field(factory=dict)
    classes: dict[str, type[Any]] = attrs.field(factory=dict)
    left_out: list[str] = attrs.field(factory=list)

    @property
    def metadata(self) -> sa.MetaData:
        return self.registry.metadata

    @property
    def mappers(self) -> list[orm.Mapper[Any]]:
        return [sa.inspect(each) for each in self.classes.values()]


@contextlib.contextmanager
def live(name: str) -> Iterator[Application]:
    """Map an application for the block. Its classes stand in a module of their own, so that their objects pickle."""
    application = Application(name, described(name))
    module = ModuleType(f"foreign_{name}_{next(_numbers)}")
    sys.modules[module.__name__] = module
    try:
        for table, each in application.description["tables"].items():
            application.tables[table] = _table(application, table, each)
        for table, each in application.description["tables"].items():
            _refer(application, table, each)
        for each in application.description["classes"]:
            _map(application, each, module)
        application.registry.configure()
        yield application
    finally:
        application.registry.dispose()
        sys.modules.pop(module.__name__)


def _table(application: Application, name: str, given: dict[str, Any]) -> sa.Table:
    columns = [
        sa.Column(
            each["name"],
            make_type(each["type"]),
            primary_key=each.get("primary_key", False),
            nullable=each.get("nullable", True) and not each.get("primary_key", False),
            autoincrement=False,
        )
        for each in given["columns"]
    ]
    return sa.Table(name, application.metadata, *columns, *(sa.UniqueConstraint(*each) for each in unique_of(given)))


def unique_of(given: dict[str, Any]) -> list[list[str]]:
    """Return the sets of columns that are unique in a described table, without the primary key."""
    single = [[each["name"]] for each in given["columns"] if each.get("unique")]
    return [list(each) for each in dict.fromkeys(map(tuple, [*given.get("unique", []), *single]))]


def _refer(application: Application, name: str, given: dict[str, Any]) -> None:
    table = application.tables[name]
    for number, each in enumerate(given.get("foreign_keys", [])):
        target = application.tables.get(each["table"])
        if target is None:
            continue
        table.append_constraint(
            sa.ForeignKeyConstraint(
                [table.c[column] for column in each["columns"]],
                [target.c[column] for column in each["to"]],
                name=f"{name}_{number}_exists"[-60:],
                use_alter=True,
                deferrable=True,
                initially="DEFERRED",
            )
        )


def _map(application: Application, given: dict[str, Any], module: ModuleType) -> None:
    parent = application.classes.get(given.get("inherits"))  # type: ignore[arg-type]
    made = type(given["name"], (parent or object,), {"__module__": module.__name__})
    setattr(module, given["name"], made)
    table = application.tables[given["table"]]
    properties: dict[str, Any] = {}
    mapped: set[sa.Column[Any]] = set()
    for each in given.get("columns", []):
        columns = [application.tables[one].c[name] for one, name in each["columns"]]
        mapped.update(columns)
        deferred = each.get("deferred", False)
        properties[each["name"]] = orm.column_property(*columns, deferred=deferred)
    for each in given.get("expressions", []):
        properties[each["name"]] = orm.column_property(expression(application, each["sql"]), deferred=each["deferred"])
    for each in given.get("relationships", []):
        properties[each["name"]] = _relationship(application, each)
    arguments: dict[str, Any] = {
        key: given[key]
        for key in ("concrete", "polymorphic_identity", "with_polymorphic", "polymorphic_load")
        if key in given
    }
    if "polymorphic_on" in given:
        arguments["polymorphic_on"] = expression(application, given["polymorphic_on"])
    if "version_id_col" in given:
        arguments["version_id_col"] = table.c[given["version_id_col"]]
    single = parent is not None and sa.inspect(parent).local_table is table
    if not single:
        arguments["local_table"] = table
        arguments["exclude_properties"] = [
            column for column in table.c if column not in mapped and not column.primary_key
        ]
    if parent is not None:
        arguments["inherits"] = parent
    application.registry.map_imperatively(made, properties=properties, **arguments)
    application.classes[given["name"]] = made


def _relationship(application: Application, given: dict[str, Any]) -> Any:
    arguments: dict[str, Any] = {
        key: given[key]
        for key in (
            "back_populates",
            "innerjoin",
            "join_depth",
            "lazy",
            "omit_join",
            "passive_deletes",
            "passive_updates",
            "post_update",
            "single_parent",
            "uselist",
            "viewonly",
        )
        if key in given
    }
    if "cascade" in given:
        arguments["cascade"] = ", ".join(given["cascade"]) or False
    if "secondary" in given:
        arguments["secondary"] = application.tables[given["secondary"]]
    for key in ("primaryjoin", "secondaryjoin"):
        if key in given:
            arguments[key] = expression(application, given[key])
    for key in ("foreign_keys", "remote_side"):
        if key in given:
            arguments[key] = [application.tables[table].c[name] for table, name in given[key]]
    if "order_by" in given:
        arguments["order_by"] = [expression(application, each) for each in given["order_by"]]
    if "collection" in given:
        arguments["collection_class"] = _collection(given["collection"])
    target = given["target"]
    return orm.relationship(lambda: application.classes[target], **arguments)


def _collection(given: Any) -> Any:
    if given in {"set", "list"} if isinstance(given, str) else False:
        return set if given == "set" else list
    if "keyed" in given:
        return orm.attribute_keyed_dict(given["keyed"])
    return ordering_list(given["ordering"], reorder_on_append=given["reorder_on_append"])


def expression(application: Application, given: Any) -> Any:
    """Turn the nested lists of a description into SQL."""
    word, *rest = given
    if word == "column":
        table, name, *marks = rest
        column: Any = application.tables[table].c[name]
        for mark in marks:
            column = orm.foreign(column) if mark == "foreign" else orm.remote(column)
        return column
    if word == "value":
        return rest[0]
    if word in {"null", "true", "false"}:
        return {"null": sa.null, "true": sa.true, "false": sa.false}[word]()
    if word == "cast":
        return sa.cast(expression(application, rest[0]), make_type(rest[1]))
    if word == "function":
        return getattr(sa.func, rest[0])(*(expression(application, each) for each in rest[1:]))
    parts = [expression(application, each) for each in rest]
    if word in {"and_", "or_"}:
        return {"and_": sa.and_, "or_": sa.or_}[word](*parts)
    if word == "not":
        return sa.not_(parts[0])
    if word == "list":
        return parts
    if word in {"desc_op", "asc_op", "nulls_last_op", "nulls_first_op"}:
        return getattr(parts[0], word.removesuffix("_op"))()
    return getattr(operators, word)(*parts)
