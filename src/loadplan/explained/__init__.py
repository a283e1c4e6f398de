"""Shows how a plan is loaded: the tree with its reasons, the SQL, pictures, the query plan of the database.

In: a compiled plan. Out: values that you can print. Only ``analyze`` runs a fetch, which its caller passes to it.
"""
