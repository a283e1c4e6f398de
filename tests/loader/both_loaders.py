"""``SyncLoader`` in the clothes of ``Loader``: the tests of one run through the other."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import sessionmaker

from loadplan import SyncLoader
from loadplan.sqlalchemy_internals import in_greenlet


def sync_bind(bind: Any) -> Any:
    """Return the synchronous side of a bind, as ``run_sync`` hands it out."""
    if isinstance(bind, AsyncEngine):
        return bind.sync_engine
    if isinstance(bind, AsyncSession):
        return bind.sync_session
    if isinstance(bind, AsyncConnection):
        return bind.sync_connection
    if isinstance(bind, async_sessionmaker):
        given = dict(bind.kw)
        made = given.pop("sync_session_class", None) or bind.class_.sync_session_class
        given = {name: sync_bind(value) for name, value in given.items()}
        if "binds" in given:
            given["binds"] = {key: sync_bind(value) for key, value in given["binds"].items()}
        return sessionmaker(class_=made, **given)
    return bind


class AwaitedSyncLoader:
    """Each call is one of ``SyncLoader``, awaited in SQLAlchemy's greenlet, where an asynchronous driver can wait."""

    def __init__(self, bind: Any, **settings: Any) -> None:
        self._loader = SyncLoader(sync_bind(bind), **settings)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call: Any = getattr(self._loader, name)
        if name in ("explain", "check"):
            return call  # type: ignore[no-any-return]

        async def awaited(*args: Any, **kw: Any) -> Any:
            return await in_greenlet(lambda: call(*args, **kw))

        return awaited

    async def stream(self, *args: Any, **kw: Any) -> AsyncIterator[Any]:
        roots = self._loader.stream(*args, **kw)
        try:
            end = object()
            while (root := await in_greenlet(lambda: next(roots, end))) is not end:
                yield root
        finally:
            await in_greenlet(roots.close)
