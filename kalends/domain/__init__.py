"""The rules of calendars, without I/O."""
