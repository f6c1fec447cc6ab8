"""`python -m dcal`: the command line, which is a face of its own."""

import sys

if __name__ == "__main__":
    from dcal_explorer.cli.program import main

    sys.exit(main())
