"""`python -m flash_ls`."""

from flash_ls.cli import main

main()
