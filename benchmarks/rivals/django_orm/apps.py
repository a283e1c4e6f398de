"""What Django wants to know of a package with models."""

# pyright: reportMissingImports=false

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Of the shop, and of the atlas beside it."""

    name = "benchmarks.rivals.django_orm"
    label = "shop"
