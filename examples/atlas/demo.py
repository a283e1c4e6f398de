"""The demo's command: ``uv run python examples/atlas/demo.py``. What it shows is told in ``tour.py``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # A script's own folder is on the path; the package ``atlas`` is found from the folder above.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from atlas.tour import main

    main()
