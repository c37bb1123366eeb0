"""The provider-sync interface and its implementations."""
