"""Pages of a list: v1 by `starting_after` and `ending_before`, v2 by the URL of the next page.

Sources: Stripe API reference, "Pagination"; API v2, "List pagination". Newest objects come first.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from local.fake_stripe.account import Json
from local.fake_stripe.errors import ApiError, invalid_fields, missing
from local.fake_stripe.parameters import Parameters

_DEFAULT: Final = 10
_MAXIMUM: Final = 100


def v1_page(objects: Sequence[Json], parameters: Parameters, *, url: str, kind: str) -> Json:
    """Return one page of `objects`, which are the newest first.

    Raises:
        ApiError: a limit that is not 1 to 100, or a cursor that is no object of the list.
    """
    limit = parameters.get("limit", _DEFAULT)
    if not 1 <= limit <= _MAXIMUM:
        raise ApiError(
            400,
            f"This value must be {'less' if limit > 1 else 'greater'} than or equal to "
            f"{_MAXIMUM if limit > 1 else 1}.",
            code="parameter_invalid_integer",
            param="limit",
        )
    ids = [each["id"] for each in objects]
    if after := parameters.get("starting_after"):
        start = _position(ids, after, kind, "starting_after") + 1
        end = start + limit
        more = end < len(objects)
    elif before := parameters.get("ending_before"):
        end = _position(ids, before, kind, "ending_before")
        start = max(0, end - limit)
        more = start > 0
    else:
        start, end = 0, limit
        more = end < len(objects)
    return {"object": "list", "data": list(objects[start:end]), "has_more": more, "url": url}


def v2_page(objects: Sequence[Json], parameters: Parameters, *, url: str) -> Json:
    """Return one page of `objects` with the URLs of its neighbours.

    Raises:
        ApiError: a limit that is not 1 to 100, or a page that this fake did not hand out.
    """
    limit = parameters.get("limit", _DEFAULT)
    if not 1 <= limit <= _MAXIMUM:
        raise invalid_fields("limit", f"Must be between 1 and {_MAXIMUM}.")
    start = _decode(parameters["page"]) if "page" in parameters else 0
    kept = {name: value for name, value in parameters.items() if name != "page"}
    end = start + limit
    return {
        "data": list(objects[start:end]),
        "next_page_url": _page_url(url, kept, end) if end < len(objects) else None,
        "previous_page_url": _page_url(url, kept, max(0, start - limit)) if start else None,
    }


def in_range(moment: Any, wanted: Any) -> bool:
    """Return whether a time satisfies a `created` filter: a moment, or bounds `gt gte lt lte`."""
    if wanted is None:
        return True
    if not isinstance(wanted, dict):
        return bool(moment == wanted)
    checks = {
        "gt": lambda bound: moment > bound,
        "gte": lambda bound: moment >= bound,
        "lt": lambda bound: moment < bound,
        "lte": lambda bound: moment <= bound,
    }
    return all(checks[name](bound) for name, bound in wanted.items())


def _position(ids: list[str], cursor: str, kind: str, param: str) -> int:
    try:
        return ids.index(cursor)
    except ValueError:
        raise missing(kind, cursor, param=param) from None


def _page_url(url: str, parameters: Parameters, start: int) -> str:
    token = "page_" + base64.urlsafe_b64encode(str(start).encode()).decode().rstrip("=")
    pairs: list[tuple[str, Any]] = []
    for name, value in parameters.items():
        if isinstance(value, list):
            pairs += [(f"{name}[{index}]", each) for index, each in enumerate(value)]
        elif isinstance(value, dict):
            pairs += [(f"{name}[{key}]", each) for key, each in value.items()]
        else:
            pairs.append((name, value))
    return f"{url}?{urlencode([*pairs, ('page', token)])}"


def _decode(token: str) -> int:
    text = token.removeprefix("page_")
    try:
        return int(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise invalid_fields("page", "Not a page of this list.") from None
