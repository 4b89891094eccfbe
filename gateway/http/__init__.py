"""The HTTP fronts of the gateway: terminals (signed), partners' notices, and the people who watch it."""
