"""Plans that are as they should be."""

from loadplan import LoadPlan, load
from shop.models import Customer, Order

ORDER_PAGE = LoadPlan(Order, load(Order.customer), load(Order.lines), name="order page")
CUSTOMER_PAGE = LoadPlan(Customer, load(Customer.orders), name="customer page")
