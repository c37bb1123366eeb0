"""Serve the simulator: `python -m <this package> --port PORT`."""

import argparse

from .serving import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Google Calendar, simulated.")
    parser.add_argument("--port", type=int, default=8002)
    serve(parser.parse_args().port)
