"""Serve the simulator: `python -m <this package> --port PORT`."""

import argparse

from .serving import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Microsoft 365's calendars, simulated.")
    parser.add_argument("--port", type=int, default=8003)
    serve(parser.parse_args().port)
