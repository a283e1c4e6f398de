"""The audit: effects of a mapping under asyncio, for every relationship, key, expiring value and session factory."""

from types import ModuleType
from typing import Any

import attrs
from sqlalchemy import MetaData, Table
from sqlalchemy.orm import Mapper, registry

from loadplan.mapped import mapping
from loadplan.resolved.resolving import configure_around
from loadplan.sqlalchemy_internals import mappers_in
from loadplan.tools.audit.expiring import expiring_findings, session_factories, session_findings
from loadplan.tools.audit.findings import Audit, Finding, Severity, sorted_findings
from loadplan.tools.audit.keys import key_findings
from loadplan.tools.audit.pairs import pair_findings
from loadplan.tools.audit.settings import (
    dataclass_findings,
    deferred_findings,
    inheritance_findings,
    relationship_findings,
)
from loadplan.tools.audit.sqlmodel import in_words_of_sqlmodel
from loadplan.tools.targets import TargetError, import_target, modules_below, not_imported, values_in

__all__ = ["Audit", "Finding", "Severity", "audit"]


@attrs.define
class _Scope:
    """The targets to read."""

    mappers: set[Mapper[Any]] = attrs.field(factory=set)
    tables: set[Table] = attrs.field(factory=set)
    modules: list[ModuleType] = attrs.field(factory=list)


def audit(*targets: object) -> Audit:
    """Return the findings about mappings. It configures the mappers, and opens no database.

    Args:
        *targets: what to audit. A declarative base or a ``registry`` stands for all classes mapped with it. A
            ``MetaData`` stands for its tables. A mapped class stands for itself, and any other class for the mapped
            classes that inherit from it. A module stands for the classes and session factories that it and its
            submodules define. A name such as ``"shop.models:Base"`` stands for this object and the session factories
            of its module. The name of a ``MetaData`` also stands for the classes of its tables.

    Raises:
        TargetError: a name does not exist, or has no mapping.
        PlanError: LP208, the mappers cannot be configured.
    """
    scope = _Scope()
    for target in targets:
        _add(scope, target)
    _configure(scope.mappers)
    for mapper in scope.mappers:
        scope.tables |= {table for table in _tables_of(mapper) if isinstance(table, Table)}
    found: list[Finding] = []
    for mapper in scope.mappers:
        found += relationship_findings(mapper)
        found += deferred_findings(mapper)
        found += inheritance_findings(mapper)
        found += dataclass_findings(mapper)
        found += expiring_findings(mapper)
    found += pair_findings(scope.mappers)
    found += key_findings(scope.tables)
    found += session_findings(scope.modules)
    name = ", ".join(map(_shown, targets))
    told = sorted_findings(list(in_words_of_sqlmodel(found, scope.mappers)))
    return Audit(name, len(scope.mappers), len(scope.tables), told)


def _add(scope: _Scope, target: object) -> None:
    found = target
    beside: list[ModuleType] = []
    if isinstance(target, str):
        found = import_target(target)
        beside = [import_target(target.partition(":")[0])]
    if isinstance(found, ModuleType):
        _add_module(scope, found)
        return
    scope.modules += beside  # session factories are in the same modules as the models, so this audit sees them
    if isinstance(found, MetaData):
        scope.tables |= set(found.tables.values())
        for each in _registries_in(beside):
            if each.metadata is found:
                scope.mappers |= set(mappers_in(each))
    elif (mapper := mapping.mapper_of(found)) is not None:
        scope.mappers.add(mapper)
    elif isinstance(own := getattr(found, "registry", found), registry):
        scope.mappers |= set(mappers_in(own))
        scope.tables |= set(own.metadata.tables.values())
    elif isinstance(found, type) and (below := set(mapping.mappers_below(found))):
        scope.mappers |= below
        if isinstance(metadata := getattr(found, "metadata", None), MetaData):
            scope.tables |= set(metadata.tables.values())
    else:
        raise TargetError(
            f"'{_shown(target)}' has no mapping\n"
            "  hint: name a declarative base, a registry, a MetaData, a mapped class or a module of these."
        )


def _add_module(scope: _Scope, module: ModuleType) -> None:
    modules: list[ModuleType] = []
    for each in modules_below(module):
        if not isinstance(each, ModuleType):
            raise TargetError(not_imported(each))
        modules.append(each)
    names = {each.__name__ for each in modules}
    registries = _registries_in(modules)
    mappers = {mapper for each in registries for mapper in mappers_in(each) if mapper.class_.__module__ in names}
    tables = {value for each in modules for _, value in values_in(each) if isinstance(value, Table)}
    if not mappers and not tables and not any(session_factories(modules)):
        raise TargetError(
            f"module '{module.__name__}' defines no mapped class, no table and no session factory\n"
            "  hint: name the module that defines the mapped classes, or their base, as package.models:Base."
        )
    scope.modules += modules
    scope.mappers |= mappers
    scope.tables |= tables


def _registries_in(modules: list[ModuleType]) -> list[registry]:
    """Return the registries that modules hold, and the registries of the bases and mapped classes that they hold."""
    found: dict[int, registry] = {}
    for module in modules:
        for _, value in values_in(module):
            mapper = mapping.mapper_of(value)
            own = getattr(value, "registry", None) if isinstance(value, type) else value
            each = own if mapper is None else mapper.registry
            if isinstance(each, registry):
                found[id(each)] = each
    return list(found.values())


def _configure(mappers: set[Mapper[Any]]) -> None:
    """Configure mappers, which finds the classes that relationships lead to.

    Raises:
        PlanError: LP208.
    """
    for each in {id(mapper.registry): mapper for mapper in mappers}.values():
        configure_around(each, ())


def _tables_of(mapper: Mapper[Any]) -> set[Any]:
    """Return the tables of a class and the association tables of its relationships."""
    secondary = {prop.secondary for prop in mapper.relationships if prop.secondary is not None}
    return {*mapper.tables, *secondary}


def _shown(target: object) -> str:
    return str(target if isinstance(target, str) else getattr(target, "__name__", type(target).__name__))
