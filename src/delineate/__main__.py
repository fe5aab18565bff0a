"""`python -m delineate` is the `delineate` command."""

from delineate.cli import main

main()
