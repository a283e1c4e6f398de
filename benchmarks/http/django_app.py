"""Django as its documentation has it: asynchronous views below its own ASGI handler."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db.models import Prefetch
from django.http import HttpRequest, JsonResponse
from django.urls import path
from sqlalchemy import URL

from benchmarks.rivals.django_orm import add_database
from benchmarks.rivals.django_orm.models import Line, Order


def answer(order: Any) -> dict[str, Any]:
    """Return what an order's page shows."""
    return {
        "id": order.id,
        "number": order.number,
        "status": order.status,
        "total": order.total,
        "customer": {"id": order.customer.id, "name": order.customer.name},
        "lines": [
            {
                "id": line.id,
                "quantity": line.quantity,
                "price": line.price,
                "product": {"id": line.product.id, "name": line.product.name},
            }
            for line in order.lines.all()
        ],
    }


def query(alias: str) -> Any:
    """Return the query of all orders, built in each request."""
    lines = Prefetch("lines", Line.objects.select_related("product"))
    return Order.objects.using(alias).select_related("customer").prefetch_related(lines)


urlpatterns: list[Any] = []


def application(_: str, url: URL) -> Any:
    """Return the application on the database of a URL."""
    alias = add_database(url)

    async def order(_: HttpRequest, key: int) -> JsonResponse:
        return JsonResponse(answer(await query(alias).aget(pk=key)))

    async def orders(request: HttpRequest) -> JsonResponse:
        limit = int(str(request.GET["limit"]))
        found = [answer(each) async for each in query(alias).order_by("pk")[:limit]]
        return JsonResponse(found, safe=False)

    urlpatterns[:] = [path("orders/<int:key>", order), path("orders", orders)]
    settings.ROOT_URLCONF = __name__
    settings.ALLOWED_HOSTS = ["*"]
    return get_asgi_application()
