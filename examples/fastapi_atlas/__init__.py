"""The atlas as a web service on FastAPI: repositories on a ``Loader``, views as responses, one tenant per API key.

``schemas`` has the responses, and ``plans`` the plans that load them. ``tenants`` limits the rows that an API key sees.
``repositories`` has the calls, ``problems`` turns errors into HTTP answers, and ``service`` keeps the engine and the
loaders. None of these modules uses FastAPI. Only ``app`` and ``routes`` do.
"""
