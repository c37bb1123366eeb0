"""Microsoft Graph's calendars as far as Kalends uses them.

    create_app(desk, clock)                       the simulator as an ASGI application
    serve(port)                                   the same on this machine's port
    python -m <this package> --port PORT          the same from a shell

It keeps to Graph's reference where that says something. What it only supposes of Graph is chosen so that a client that
takes more for granted fails here; `Behaviour` lists what may be one way or the other.
"""

from .app import create_app
from .serving import serve

__all__ = ["create_app", "serve"]
