"""The demo's command: ``uv run python examples/atlas/demo.py``. The demo itself is in ``tour.py``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts the folder of a script on the path. The package ``atlas`` needs the folder above.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from atlas.tour import main

    main()
