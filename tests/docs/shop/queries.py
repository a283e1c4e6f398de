"""A statement as it is written by hand."""

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload, load_only, raiseload, selectinload

from shop.models import Customer, Order


def order_page(number: int) -> Select[Any]:
    """Return the statement of an order with its lines and its customer."""
    return (
        select(Order)
        .where(Order.id == number)
        .options(
            selectinload(Order.lines),
            joinedload(Order.customer).options(load_only(Customer.id), selectinload(Customer.orders)),
            raiseload("*"),
        )
    )
