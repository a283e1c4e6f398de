"""The graphs of ``views.py``: each with its mapping, its view classes, its plan and the same by hand."""
