"""What turns the parts into a running server."""
