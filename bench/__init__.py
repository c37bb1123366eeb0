"""How fast `createEvent` is, beside what it could be and what others make of it: see README.md."""
