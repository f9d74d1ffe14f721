"""`python -m flash_ls`."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - who runs a checkout may have any
    sys.exit(f"flash-ls needs Python 3.11 or newer, and this is {sys.version.split()[0]}; install it with a newer one.")

from flash_ls.cli import main

main()
