"""How a plan is loaded, for people: the tree with its reasons, the SQL, pictures, the database's own plan.

In: a compiled plan. Out: values with a readable text. Nothing here fetches.
"""
