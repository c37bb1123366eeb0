"""What Kalends promises under faults, tried out: `python -m tests.faults`. Not collected by pytest."""
