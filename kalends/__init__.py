"""Kalends: a self-hosted calendar-event server with a GraphQL API."""

__version__ = "0.1.0"
