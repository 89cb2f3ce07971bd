"""What the claims of this repository rest on: `make bench` measures them and says what it found."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# As in the functions' zip, `settlement` and the handlers are imported from the folder itself.
sys.path.insert(0, str(ROOT / "lambdas"))
