"""What the tests of the web examples share: who holds which API key."""

from fastapi_atlas.tenants import Region

WORLD = "world key"
EUROPE = "europe key"
OCEANIA = "oceania key"
NOWHERE = "nowhere key"

API_KEYS: dict[str, Region] = {
    WORLD: frozenset({"AF", "AN", "AS", "EU", "NA", "OC", "SA"}),
    EUROPE: frozenset({"EU"}),
    OCEANIA: frozenset({"OC"}),
    NOWHERE: frozenset(),
}


def key(api_key: str) -> dict[str, str]:
    """The header that a key goes into."""
    return {"X-Api-Key": api_key}
