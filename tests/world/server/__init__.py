"""The HTTP server of both stand-ins, on loopback, and the faults it can be told to show."""
