"""What AWS does by itself, again and again."""

import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)


def every(seconds: float, name: str, action: Callable[[], None]) -> None:
    """Run `action` in a thread from now on. An error in it is logged and does not end it."""

    def tick() -> None:
        while True:
            time.sleep(seconds)
            try:
                action()
            except Exception:  # noqa: BLE001 - the clock goes on
                _log.exception("%s", name)

    threading.Thread(target=tick, name=name, daemon=True).start()
