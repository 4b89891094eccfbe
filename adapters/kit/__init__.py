"""What every partner simulator shares: faults by name, a durable book, and a client for the control interface."""
