"""Resume states."""
