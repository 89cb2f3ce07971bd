"""MiniStack's server, on a socket that is bound already.

MiniStack's own `main` takes a port number, and another program may take the port first.
"""

import asyncio
import socket

from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config

from local.emulator.modules import app, lambda_runtime

_KEEP_ALIVE_SECONDS = 75  # as MiniStack's own: longer than the SDKs keep a connection unused


def serve(listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, then end the functions' processes."""
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = _KEEP_ALIVE_SECONDS
    try:
        asyncio.run(serve_asgi(app, config))
    finally:
        lambda_runtime.reset()
