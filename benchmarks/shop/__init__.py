"""A synthetic shop: what it sells, to whom, and what they say of it. The mapping, and rows of any number."""

from benchmarks.shop.mapping import (
    Address,
    Base,
    Carrier,
    Category,
    City,
    Country,
    Customer,
    Image,
    Line,
    Order,
    Product,
    Region,
    Review,
    Sheet,
    Tag,
    product_tag,
)
from benchmarks.shop.rows import Sizes, fill

__all__ = [
    "Address",
    "Base",
    "Carrier",
    "Category",
    "City",
    "Country",
    "Customer",
    "Image",
    "Line",
    "Order",
    "Product",
    "Region",
    "Review",
    "Sheet",
    "Sizes",
    "Tag",
    "fill",
    "product_tag",
]
