"""A plan with a mistyped name."""

from shop.models import Order

from loadplan import LoadPlan, load

LABEL = LoadPlan(Order, load("custmer"), name="label")
