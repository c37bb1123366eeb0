"""The only code that knows GraphQL: one module per noun."""
