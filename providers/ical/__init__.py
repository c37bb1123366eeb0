"""iCalendar (RFC 5545): between files and the states of events, whatever a file comes from or goes to."""
