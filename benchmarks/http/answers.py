"""What the servers answer: an order with its customer, its lines and their products, in pydantic and in msgspec."""

from decimal import Decimal

import msgspec
from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Reads the attributes of objects, as ``response_model`` of FastAPI asks."""

    model_config = ConfigDict(from_attributes=True)


class CustomerAnswer(Answer):
    """Who ordered."""

    id: int
    name: str


class ProductAnswer(Answer):
    """What was ordered."""

    id: int
    name: str


class LineAnswer(Answer):
    """How much of it."""

    id: int
    quantity: int
    price: Decimal
    product: ProductAnswer


class OrderAnswer(Answer):
    """An order as its page shows it."""

    id: int
    number: str
    status: str
    total: Decimal
    customer: CustomerAnswer
    lines: list[LineAnswer]


class CustomerStruct(msgspec.Struct):
    """Who ordered."""

    id: int
    name: str


class ProductStruct(msgspec.Struct):
    """What was ordered."""

    id: int
    name: str


class LineStruct(msgspec.Struct):
    """How much of it."""

    id: int
    quantity: int
    price: Decimal
    product: ProductStruct


class OrderStruct(msgspec.Struct):
    """An order as its page shows it."""

    id: int
    number: str
    status: str
    total: Decimal
    customer: CustomerStruct
    lines: list[LineStruct]
