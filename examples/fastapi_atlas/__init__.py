"""The atlas as a web service on FastAPI: repositories on a ``Loader``, views as responses, one tenant per API key.

``schemas`` says what is answered, ``plans`` how that is loaded, ``tenants`` who may see which rows, ``repositories``
what can be asked for, ``problems`` what an error means in HTTP, ``service`` what lives as long as the process. None of
them knows FastAPI; ``app`` and ``routes`` do.
"""
