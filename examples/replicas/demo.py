"""The example's command: ``uv run python examples/replicas/demo.py``. What it shows is told in ``tour.py``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # A script's own folder is on the path; the package ``replicas`` is found from the folder above.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from replicas.tour import main

    main()
