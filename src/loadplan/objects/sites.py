"""The places of a plan at which mapped instances are made, with the values that generated code needs there."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from loadplan.objects.instances import (
    Kinds,
    after_class,
    as_tuple,
    identity_root,
    is_plain,
    key_pickers,
    part_list,
    row_keys,
    whole,
)
from loadplan.objects.losses import Hidden
from loadplan.objects.seal import Sealer
from loadplan.resolved.tree import Instance


class Site:
    """A place at which instances are made, with the values that generated code needs for them."""

    def __init__(self, number: int, instance: Instance, label: str, hidden: Hidden) -> None:
        self.number = number
        self.instance = instance
        self.mapper = instance.place.mapper
        self.parts = tuple(part_list(instance.parts))
        self.key, self.partial_keys, self.by_class = row_keys(self.mapper)
        names = (*self.key, *(each.name for each in instance.keys))
        self.own_keys = key_pickers(self.mapper, names) if instance.keys else {}
        self.shared: int | None = None
        self.kinds = Kinds(self.mapper, Sealer(label, instance, hidden), self.parts, self._key_of)
        self.plain = is_plain(self.mapper)

    def _key_of(self, cls: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
        """Return a function that makes the tuple of a class's primary key from the key of a row."""
        if self.instance.keys:
            return self.own_keys[cls]
        if self.by_class:
            return after_class
        return as_tuple if len(self.key) == 1 else whole


def sites_of(root: Instance, label: str, hidden: Hidden) -> list[Site]:
    """Return a site for every place of a plan. A class at several places gets a number, which its sites share.

    Args:
        root: the recipe of the root.
        label: the label of the plan.
        hidden: the classes whose rows the session may have hidden.
    """
    sites: list[Site] = []
    waiting = [root]
    while waiting:
        instance = waiting.pop(0)
        sites.append(Site(len(sites), instance, label, hidden))
        edges = list(instance.place.edges)
        for part in part_list(instance.parts):
            edges += part.place.edges
        waiting += [
            edge.outputs[0] for edge in edges if edge.prop is not None and isinstance(edge.outputs[0], Instance)
        ]
    counts = Counter(identity_root(site.mapper) for site in sites)
    numbers = {mapper: number for number, mapper in enumerate(each for each, count in counts.items() if count > 1)}
    for site in sites:
        site.shared = numbers.get(identity_root(site.mapper))
    return sites
