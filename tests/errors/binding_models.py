"""Keys and columns of types that decide for themselves what they bind, as applications write them."""

import enum
import secrets
import uuid
from typing import Any

from errors_models import keyed
from sqlalchemy import CHAR, JSON, Enum, ForeignKey, Integer, String, Text, TypeDecorator, Uuid, types
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class TextId(TypeDecorator[uuid.UUID]):
    """A UUID in Python, text for the driver; what the column is depends on the dialect."""

    impl = Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        return dialect.type_descriptor(CHAR(36))

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else uuid.UUID(str(value))


class Guid(TypeDecorator[uuid.UUID]):
    """The recipe of many applications: takes a UUID or its text; native on PostgreSQL, text elsewhere."""

    impl = CHAR
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        native = dialect.name == "postgresql"
        return dialect.type_descriptor(postgresql.UUID() if native else CHAR(36))

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        if value is None:
            return None
        value = value if isinstance(value, uuid.UUID) else uuid.UUID(value)
        return value if dialect.name == "postgresql" else str(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value if value is None or isinstance(value, uuid.UUID) else uuid.UUID(value)


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class ByValue(TypeDecorator[Size]):
    """An enum that is stored by its values; takes a member or a value."""

    impl = String(1)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else Size(value).value

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else Size(value)


class LowerEnum(TypeDecorator[str]):
    """An enum of the database that is plain text, in capitals, in Python."""

    impl = Enum("red", "blue", name="bind_lower")
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.lower()

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.upper()


class Veiled(TypeDecorator[str]):
    """Stands for an encrypting type: another text each time it binds."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else secrets.token_hex(4) + value

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value[8:]


class Roman(types.UserDefinedType[int]):
    """No decorator, but a type of the application's own: it takes digits or a number."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "VARCHAR(20)"

    def bind_processor(self, dialect: Any) -> Any:
        return lambda value: None if value is None else str(int(value))

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return lambda value: None if value is None else int(value)


class Plain(Integer):
    """A subclass of SQLAlchemy's that changes nothing."""

    cache_ok = True


ByTextId = keyed("ByTextId", TextId, Base, "bind")
ByGuid = keyed("ByGuid", Guid, Base, "bind")
BySize = keyed("BySize", ByValue, Base, "bind")
ByLower = keyed("ByLower", LowerEnum, Base, "bind")
ByRoman = keyed("ByRoman", Roman, Base, "bind")
ByPlain = keyed("ByPlain", Plain, Base, "bind")
ByChar = keyed("ByChar", CHAR(3), Base, "bind")
ByUuidText = keyed("ByUuidText", Uuid(as_uuid=False), Base, "bind")
ByText = keyed("ByText", String(20), Base, "bind")


class Account(Base):
    __tablename__ = "bind_accounts"
    id: Mapped[uuid.UUID] = mapped_column(TextId, primary_key=True)
    number: Mapped[int]
    secret: Mapped[str] = mapped_column(Veiled)
    maybe: Mapped[str | None] = mapped_column(Veiled)
    size: Mapped[Size] = mapped_column(ByValue)
    settings: Mapped[Any] = mapped_column(JSON)
    entries: Mapped[list["Entry"]] = relationship(order_by="Entry.id")


class Entry(Base):
    __tablename__ = "bind_entries"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(TextId, ForeignKey("bind_accounts.id"))


SOME = uuid.UUID("abcdef78-1234-5678-1234-567812345678")
