"""The providers' sides: each with its processes, the people who work there, and what goes wrong on demand.

Nothing of `providers/` is used here: what a provider has is read and written in its own words.
"""
