"""Use cases: authorise, apply the domain's rules, open the transaction."""
