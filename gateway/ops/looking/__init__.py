"""Looking at what waits for people: doubts, breaks, alarms, anything by its serial; read from one snapshot."""
