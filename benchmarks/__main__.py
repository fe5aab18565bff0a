"""`python -m benchmarks NAME ...` runs one comparison; without a name it lists them."""

import importlib
import sys
from pathlib import Path

NAMES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if not path.stem.startswith(("_", "peer", "measure"))
)


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        print("python -m benchmarks NAME ...\n")
        for name in NAMES:
            text = importlib.import_module(f"benchmarks.{name}").__doc__ or ""
            print(f"  {name:12} {text.splitlines()[0]}")
        raise SystemExit(2)
    importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])


main()
