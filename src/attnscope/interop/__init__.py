"""Other frameworks. Each file imports one of them, and is imported by name only by code that needs it."""
