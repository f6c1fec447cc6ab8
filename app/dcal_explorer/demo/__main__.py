"""`python -m dcal_explorer.demo`."""

import sys

from dcal_explorer.demo.program import main

if __name__ == "__main__":
    sys.exit(main())
