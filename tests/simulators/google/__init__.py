"""Google Calendar as far as Kalends uses it.

    create_app(desk, clock)                       the simulator as an ASGI application
    serve(port)                                   the same on this machine's port
    python -m <this package> --port PORT          the same from a shell

It keeps to Google's reference where that says something. What it only supposes of Google is chosen so that a client
that takes more for granted fails here.
"""

from .app import create_app
from .serving import serve

__all__ = ["create_app", "serve"]
