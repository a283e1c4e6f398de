"""Plans that are as they should be."""

from shop.models import Customer, Order

from loadplan import LoadPlan, load

ORDER_PAGE = LoadPlan(Order, load(Order.customer), load(Order.lines), name="order page")
CUSTOMER_PAGE = LoadPlan(Customer, load(Customer.orders), name="customer page")
