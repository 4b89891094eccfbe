"""The night: accounting day, matching, breaks, fees, commission, files. It comes with its own work."""
