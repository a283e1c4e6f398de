"""What Django wants to know of a package with models."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Of the shop, and of the atlas beside it."""

    name = "rivals.django"
    label = "shop"
