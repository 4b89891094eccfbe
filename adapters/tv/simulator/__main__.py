"""`python -m adapters.tv.simulator`."""

from adapters.tv.simulator.cli import main

main()
