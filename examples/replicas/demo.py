"""The example's command: ``uv run python examples/replicas/demo.py``. The example itself is in ``tour.py``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts the folder of a script on the path. The package ``replicas`` needs the folder above.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from replicas.tour import main

    main()
