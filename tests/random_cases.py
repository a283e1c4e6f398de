"""How many random cases the tests try, and whether they are the same ones each time.

Without a variable they are few and always the same, so that a run tells of your change and of nothing else.
``LOADPLAN_PROPERTY_EXAMPLES=n`` asks for n new ones with each run; with ``CI`` in the environment, those are the same
each time too.
"""

import os

#: What the tests share out among themselves: some try all of them, some a part.
CASES = int(os.environ.get("LOADPLAN_PROPERTY_EXAMPLES", "10"))

#: Whether each run has the same cases.
SAME_EACH_TIME = "CI" in os.environ or "LOADPLAN_PROPERTY_EXAMPLES" not in os.environ
