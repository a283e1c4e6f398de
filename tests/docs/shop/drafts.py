"""A plan with a mistyped name."""

from loadplan import LoadPlan, load
from shop.models import Order

LABEL = LoadPlan(Order, load("custmer"), name="label")
