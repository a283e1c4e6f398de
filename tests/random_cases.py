"""How many random cases the tests try, and whether they are the same ones each time.

Without a variable they are few and always the same, so that a run tells of your change and of nothing else.
``LOADPLAN_PROPERTY_EXAMPLES=n`` asks for n new ones with each run; with ``CI`` in the environment, those are the same
each time too. A run with new ones begins with a line that says how to run the same ones again.
"""

import os
import random

#: What the tests share out among themselves: some try all of them, some a part.
CASES = int(os.environ.get("LOADPLAN_PROPERTY_EXAMPLES", "10"))

#: Whether each run has the same cases.
SAME_EACH_TIME = "CI" in os.environ or "LOADPLAN_PROPERTY_EXAMPLES" not in os.environ

#: The number that all new cases of this run are drawn from. It is in the environment, so pytest's workers have it too.
SEED = int(os.environ.setdefault("LOADPLAN_PROPERTY_SEED", str(random.SystemRandom().randrange(2**32))))

#: What to put before a command, to run the cases of this run again.
AGAIN = f"LOADPLAN_PROPERTY_EXAMPLES={CASES} LOADPLAN_PROPERTY_SEED={SEED}"

#: The first number of tests that draw one case from each number.
FIRST = 0 if SAME_EACH_TIME else SEED
