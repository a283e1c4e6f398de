"""Serves the atlas: ``uv run python examples/fastapi_atlas/serve.py``. The first run loads the data."""

import asyncio
import sys
from pathlib import Path


async def main() -> None:
    """Start PostgreSQL, load the atlas if it is missing, and serve it until Ctrl-C."""
    import uvicorn
    from sqlalchemy.ext.asyncio import create_async_engine

    from atlas.database import ensure_atlas
    from atlas.tour import database_url
    from fastapi_atlas.app import create_app
    from fastapi_atlas.service import Settings

    url = database_url()
    engine = create_async_engine(url)
    await ensure_atlas(engine)
    await engine.dispose()
    keys = {"world": frozenset({"AF", "AN", "AS", "EU", "NA", "OC", "SA"}), "europe": frozenset({"EU"})}
    secret = b"the same in all processes"
    app = create_app(Settings(url, cursor_key=secret, api_keys=keys, on_fetch=print))
    print("Try: curl -H 'X-Api-Key: europe' http://127.0.0.1:8000/countries/RU")
    print("and the same with the key 'world'. The routes: http://127.0.0.1:8000/docs")
    await uvicorn.Server(uvicorn.Config(app, port=8000)).serve()


if __name__ == "__main__":
    # Python puts the folder of a script on the path. The package ``fastapi_atlas`` needs the folder above.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    asyncio.run(main())
