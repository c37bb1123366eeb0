"""Google's and Microsoft's calendar APIs, as far as Kalends uses them, for tests and for people without credentials.

They behave as the vendors document it: ids, etags, change tokens, pages, channels that call back, mail that is sent,
grants that end. They refuse what the vendors refuse, and misbehave on demand (`common.py`).
"""
