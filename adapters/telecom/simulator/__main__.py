"""`python -m adapters.telecom.simulator`."""

from adapters.telecom.simulator.cli import main

main()
