"""Read the models of a public application and write their description: facts about tables and mappers, no code.

    uv run --with PACKAGES python tests/foreign/foreign_describe.py mealie CHECKOUT

CHECKOUT is a folder with the application's source. PACKAGES are those that ``foreign_recipes`` names. The script
imports the application's models, so run it on a checkout that you trust. Every import that fails gives a stand-in.
"""

import enum
import importlib
import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from foreign_recipes import RECIPES, Recipe
from foreign_stand_ins import install
from sqlalchemy import orm
from sqlalchemy.orm import mapperlib
from sqlalchemy.sql import elements, operators

FOLDER = Path(__file__).with_name("descriptions")


class LeftOutError(Exception):
    """Something that a description cannot say."""


# --- types and columns


def describe_type(given: sa.types.TypeEngine[Any]) -> dict[str, Any]:
    """Return what a column's type is, in the few words that the builder knows."""
    if isinstance(given, sa.types.TypeDecorator):
        return {"kind": "decorated", "name": type(given).__name__, "of": describe_type(given.impl_instance)}
    kinds: list[tuple[type[Any], str]] = [
        (sa.Enum, "enum"),
        (sa.Boolean, "boolean"),
        (sa.SmallInteger, "integer"),
        (sa.BigInteger, "big integer"),
        (sa.Integer, "integer"),
        (sa.Float, "float"),
        (sa.Numeric, "numeric"),
        (sa.Uuid, "uuid"),
        (sa.CHAR, "char"),
        (sa.Text, "text"),
        (sa.String, "string"),
        (sa.DateTime, "datetime"),
        (sa.Date, "date"),
        (sa.Time, "time"),
        (sa.Interval, "interval"),
        (sa.JSON, "json"),
        (sa.LargeBinary, "binary"),
        (sa.types._Binary, "binary"),
        (sa.ARRAY, "array"),
    ]
    kind = next((word for each, word in kinds if isinstance(given, each)), None)
    if kind is None:
        return {"kind": "string", "name": type(given).__name__}
    found: dict[str, Any] = {"kind": kind}
    if kind == "enum":
        found["values"] = list(given.enums)
    if kind in {"string", "char"} and given.length:
        found["length"] = given.length
    if kind == "numeric":
        found |= {"precision": given.precision, "scale": given.scale}
    if kind == "datetime" and given.timezone:
        found["timezone"] = True
    if kind == "array":
        found["of"] = describe_type(given.item_type)
    return found


def describe_column(column: sa.Column[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name, "type": describe_type(column.type)}
    if column.key != column.name:
        found["key"] = column.key
    if column.primary_key:
        found["primary_key"] = True
    elif not column.nullable:
        found["nullable"] = False
    if column.unique:
        found["unique"] = True
    if column.computed is not None:
        found["computed"] = True
    if column.server_default is not None:
        found["server_default"] = True
    default = getattr(column.default, "arg", None)
    if isinstance(default, bool | int | str):
        found["default"] = default
    elif default is not None:
        found["default"] = {"made": True}
    if column.onupdate is not None:
        found["onupdate"] = True
    return found


def describe_table(table: sa.Table) -> dict[str, Any]:
    found: dict[str, Any] = {"columns": [describe_column(each) for each in table.columns]}
    foreign = []
    for constraint in sorted(table.foreign_key_constraints, key=lambda each: [c.name for c in each.columns]):
        try:
            target = constraint.referred_table
        except sa.exc.InvalidRequestError:
            continue
        each = {
            "columns": [column.name for column in constraint.columns],
            "table": target.name,
            "to": [element.column.name for element in constraint.elements],
        }
        if constraint.ondelete:
            each["ondelete"] = constraint.ondelete
        foreign.append(each)
    if foreign:
        found["foreign_keys"] = foreign
    unique = [
        [column.name for column in constraint.columns]
        for constraint in table.constraints
        if isinstance(constraint, sa.UniqueConstraint) and len(constraint.columns)
    ]
    unique += [
        [column.name for column in index.columns]
        for index in table.indexes
        if index.unique and len(index.columns) == len(index.expressions)
    ]
    if unique:
        found["unique"] = sorted(unique)
    return found


# --- SQL expressions


def describe_expression(given: Any) -> Any:
    """Return an expression of columns and constants as nested lists.

    Raises:
        LeftOutError: it holds something else.
    """
    if isinstance(given, sa.Column):
        if not isinstance(given.table, sa.Table):
            raise LeftOutError(f"a column of {type(given.table).__name__}")
        marks = [mark for mark in ("foreign", "remote") if mark in given._annotations]
        return ["column", given.table.name, given.name, *marks]
    if isinstance(given, elements.BindParameter):
        return ["value", describe_value(given.value)]
    if isinstance(given, elements.Grouping):
        return describe_expression(given.element)
    if isinstance(given, elements.BooleanClauseList):
        return [given.operator.__name__, *map(describe_expression, given.clauses)]
    if isinstance(given, elements.Null | elements.True_ | elements.False_):
        return [type(given).__name__.strip("_").lower()]
    if isinstance(given, elements.BinaryExpression):
        name = given.operator.__name__
        if name not in _OPERATORS:
            raise LeftOutError(f"operator {name}")
        return [name, describe_expression(given.left), describe_expression(given.right)]
    if isinstance(given, elements.Label):
        return describe_expression(given.element)
    if isinstance(given, elements.AsBoolean):  # before other unary expressions, which it is one of
        found = describe_expression(given.element)
        return found if given.operator is operators.istrue else ["not", found]
    if isinstance(given, elements.UnaryExpression):
        word = given.modifier or given.operator
        if word in {operators.desc_op, operators.asc_op, operators.nulls_last_op, operators.nulls_first_op}:
            return [word.__name__, describe_expression(given.element)]
        if word is operators.inv:
            return ["not", describe_expression(given.element)]
    if isinstance(given, elements.Cast):
        return ["cast", describe_expression(given.clause), describe_type(given.type)]
    if isinstance(given, elements.ClauseList) and not isinstance(given, elements.BooleanClauseList):
        return ["list", *map(describe_expression, given.clauses)]
    if isinstance(given, sa.sql.functions.FunctionElement) and given.name in {"lower", "upper", "coalesce", "length"}:
        return ["function", given.name, *map(describe_expression, given.clauses)]
    raise LeftOutError(type(given).__name__)


_OPERATORS = {
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "is_",
    "is_not",
    "in_op",
    "not_in_op",
    "concat_op",
    "add",
    "sub",
    "mul",
}


def describe_value(given: Any) -> Any:
    if isinstance(given, enum.Enum):
        return given.name if not isinstance(given.value, str) else given.value
    if given is None or isinstance(given, bool | int | str | float):
        return given
    if isinstance(given, list | tuple):
        return list(map(describe_value, given))
    raise LeftOutError(f"a value of {type(given).__name__}")


# --- mappers


#: The older names of ``lazy=``.
_LAZY: dict[Any, str] = {True: "select", False: "joined", None: "noload"}


def describe_relationship(prop: orm.RelationshipProperty[Any]) -> dict[str, Any]:
    """Return the arguments that a relationship was given, and no others.

    Raises:
        LeftOutError: one of them cannot be described.
    """
    if not isinstance(prop.target, sa.Table | sa.Join) or prop.entity.is_aliased_class:
        raise LeftOutError("it leads to an alias")
    arguments = prop._init_args
    found: dict[str, Any] = {"name": prop.key, "target": prop.mapper.class_.__name__, "uselist": bool(prop.uselist)}
    if prop.secondary is not None:
        if not isinstance(prop.secondary, sa.Table):
            raise LeftOutError("its secondary is no table")
        found["secondary"] = prop.secondary.name
    joins = {"primaryjoin": prop.primaryjoin, "secondaryjoin": prop.secondaryjoin}
    given = any(getattr(arguments, word).argument is not None for word in joins)
    for word, value in joins.items():
        if given and value is not None:
            annotated = getattr(prop._join_condition, word)
            found[word] = describe_expression(annotated if annotated is not None else value)
    if "primaryjoin" not in found:
        if arguments.foreign_keys.argument is not None:
            found["foreign_keys"] = _columns(prop._user_defined_foreign_keys)
        if arguments.remote_side.argument is not None:
            found["remote_side"] = _columns(prop.remote_side)
    if prop.order_by:
        found["order_by"] = list(map(describe_expression, prop.order_by))
    if prop.back_populates and prop.mapper.has_property(prop.back_populates):
        found["back_populates"] = prop.back_populates
    elif prop.backref:
        name = prop.backref if isinstance(prop.backref, str) else prop.backref[0]
        found["back_populates"] = name
    lazy = _LAZY.get(prop.lazy, prop.lazy)
    if lazy != "select":
        found["lazy"] = lazy
    for word in ("innerjoin", "viewonly", "post_update", "single_parent", "join_depth", "distinct_target_key"):
        if value := getattr(prop, word, None):
            found[word] = value
    if prop.passive_deletes:
        found["passive_deletes"] = prop.passive_deletes
    if not prop.passive_updates:
        found["passive_updates"] = False
    if prop.omit_join is not None and arguments is not None and prop.omit_join is True:
        found["omit_join"] = True
    if not prop.viewonly:
        found["cascade"] = sorted(prop.cascade)
    if prop.collection_class is not None:
        found["collection"] = _collection(prop)
    return found


def _columns(given: Any) -> list[list[str]]:
    return sorted([column.table.name, column.name] for column in given)


def _collection(prop: orm.RelationshipProperty[Any]) -> Any:
    made = prop.collection_class()
    if isinstance(made, Mapping):
        keyfunc = getattr(made, "keyfunc", None)
        name = getattr(keyfunc, "attr_name", None) or getattr(keyfunc, "name", None)
        if name is None and isinstance(getattr(keyfunc, "__self__", None), object):
            colkeys = getattr(keyfunc, "colkeys", None)
            name = colkeys[0][0] if colkeys else None
        if name is None:
            raise LeftOutError("a dictionary keyed by a function")
        return {"keyed": name}
    if type(made).__name__ == "OrderingList":
        return {"ordering": made.ordering_attr, "reorder_on_append": made.reorder_on_append}
    return "set" if isinstance(made, set) else "list"


def describe_mapper(mapper: orm.Mapper[Any], left_out: list[str]) -> dict[str, Any]:
    name = mapper.class_.__name__
    found: dict[str, Any] = {"name": name, "table": mapper.local_table.name}
    if mapper.inherits:
        found["inherits"] = mapper.inherits.class_.__name__
        if mapper.concrete:
            found["concrete"] = True
    if mapper.polymorphic_on is not None and not mapper.inherits:
        try:
            found["polymorphic_on"] = describe_expression(mapper.polymorphic_on)
        except LeftOutError as reason:
            left_out.append(f"polymorphic_on of {name}: {reason}")
    if mapper.polymorphic_identity is not None:
        found["polymorphic_identity"] = describe_value(mapper.polymorphic_identity)
    if mapper.with_polymorphic is not None and not mapper.inherits and mapper.with_polymorphic[0] == "*":
        found["with_polymorphic"] = "*"
    if mapper.polymorphic_load:
        found["polymorphic_load"] = mapper.polymorphic_load
    if mapper.version_id_col is not None and not mapper.inherits and mapper.version_id_generator is not False:
        found["version_id_col"] = mapper.version_id_col.name
    columns, relationships, expressions = [], [], []
    for prop in mapper.attrs:
        if mapper.inherits and not mapper.concrete and prop.parent is not mapper:
            continue
        if isinstance(prop, orm.ColumnProperty):
            first = prop.columns[0]
            if isinstance(first, sa.Column):
                each: dict[str, Any] = {"name": prop.key, "columns": [[c.table.name, c.name] for c in prop.columns]}
                if prop.deferred:
                    each["deferred"] = True
                columns.append(each)
                continue
            try:
                expressions.append(
                    {"name": prop.key, "sql": describe_expression(prop.expression), "deferred": prop.deferred}
                )
            except LeftOutError as reason:
                left_out.append(f"{name}.{prop.key}: {reason}")
        elif isinstance(prop, orm.RelationshipProperty):
            try:
                relationships.append(describe_relationship(prop))
            except LeftOutError as reason:
                left_out.append(f"{name}.{prop.key}: {reason}")
        else:
            left_out.append(f"{name}.{prop.key}: {type(prop).__name__}")
    return found | {"columns": columns, "expressions": expressions, "relationships": relationships}


def described_mappers() -> Iterator[orm.Mapper[Any]]:
    """Yield all mappers, base classes before their subclasses."""
    found = {mapper for registry in mapperlib._all_registries() for mapper in registry.mappers}
    seen: set[orm.Mapper[Any]] = set()
    for mapper in sorted(found, key=lambda each: each.class_.__name__):
        for each in reversed(list(mapper.iterate_to_root())):
            if each not in seen:
                seen.add(each)
                yield each


def describe(name: str, recipe: Recipe, checkout: Path, revision: str) -> dict[str, Any]:
    root = (checkout / recipe.root).resolve()
    own = recipe.modules[0].partition(".")[0]
    install(root, own, recipe.bare, recipe.blank)
    for pattern in recipe.modules:
        if "*" not in pattern:
            importlib.import_module(pattern)
            continue
        for path in sorted(root.glob(pattern.replace(".", "/").replace("*", "**") + ".py")):
            module = ".".join(path.relative_to(root).with_suffix("").parts)
            try:
                importlib.import_module(module)
            except Exception as error:
                print(f"{module}: {type(error).__name__}: {error}", file=sys.stderr)
                if "--trace" in sys.argv:
                    raise
    orm.configure_mappers()
    left_out: list[str] = []
    mappers = [each for each in described_mappers() if isinstance(each.local_table, sa.Table)]
    names = [mapper.class_.__name__ for mapper in mappers]
    twice = {each for each in names if names.count(each) > 1}
    assert not twice, f"two classes of one name: {twice}"
    classes = [describe_mapper(mapper, left_out) for mapper in mappers]
    leave_out_ends(classes, left_out)
    metadatas = dict.fromkeys(mapper.local_table.metadata for mapper in mappers)
    tables = {table.name: describe_table(table) for each in metadatas for table in each.tables.values()}
    return {
        "source": recipe.source,
        "revision": revision,
        "left_out": sorted(left_out),
        "tables": dict(sorted(tables.items())),
        "classes": classes,
    }


def leave_out_ends(classes: list[dict[str, Any]], left_out: list[str]) -> None:
    """Leave out relationships to classes that are left out, and the names of other sides that are left out."""
    by_name = {each["name"]: each for each in classes}
    for each in classes:
        for prop in list(each["relationships"]):
            if prop["target"] not in by_name:
                each["relationships"].remove(prop)
                left_out.append(f"{each['name']}.{prop['name']}: its target is left out")
    for prop in (prop for each in classes for prop in each["relationships"]):
        lineage, target = set[str](), by_name.get(prop["target"])
        while target is not None:
            lineage |= {each["name"] for each in target["relationships"]}
            target = by_name.get(target.get("inherits", ""))
        if prop.get("back_populates") not in lineage:
            prop.pop("back_populates", None)


def written(description: dict[str, Any]) -> str:
    """Return a description as JSON, one column and one relationship a line."""
    lines = ["{"]
    lines += [f" {json.dumps(key)}: {json.dumps(description[key])}," for key in ("source", "revision", "left_out")]
    lines.append(' "tables": {')
    for name, table in description["tables"].items():
        lines.append(f"  {json.dumps(name)}: {{")
        lines += _entries(table)
        lines.append("  }" + ("," if name != list(description["tables"])[-1] else ""))
    lines.append(' },\n "classes": [')
    for each in description["classes"]:
        lines.append("  {")
        lines += _entries(each)
        lines.append("  }" + ("," if each is not description["classes"][-1] else ""))
    return "\n".join([*lines, " ]", "}", ""])


def _entries(given: dict[str, Any]) -> Iterator[str]:
    entries = [(key, value) for key, value in given.items() if value not in ([], None)]
    for key, value in entries:
        comma = "," if key != entries[-1][0] else ""
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"   {json.dumps(key)}: ["
            yield ",\n".join(f"    {json.dumps(each)}" for each in value)
            yield f"   ]{comma}"
        else:
            yield f"   {json.dumps(key)}: {json.dumps(value)}{comma}"


def main(name: str, checkout: str, revision: str = "") -> None:
    warnings.simplefilter("ignore")
    description = describe(name, RECIPES[name], Path(checkout), revision)
    text = written(description)
    json.loads(text)
    FOLDER.joinpath(f"{name}.json").write_text(text)
    classes = description["classes"]
    relationships = sum(len(each["relationships"]) for each in classes)
    print(f"{name}: {len(classes)} classes, {relationships} relationships, left out: {len(description['left_out'])}")


if __name__ == "__main__":
    main(*[each for each in sys.argv[1:] if each != "--trace"])
