"""The stand-in for Lambda's Runtime API refuses what the real one refuses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.runtime.runtime_api import PREFIX, Invocation, RuntimeAPI
from tests.support.waiting import SECONDS

pytestmark = pytest.mark.xdist_group("runtime")


@pytest.fixture
def api() -> Iterator[RuntimeAPI]:
    with RuntimeAPI("any") as api:
        yield api


def call(api: RuntimeAPI, method: str, path: str, body: object = None) -> tuple[int, Any]:
    connection = HTTPConnection(api.address, timeout=SECONDS)
    connection.request(method, PREFIX + path, json.dumps(body) if method == "POST" else None)
    response = connection.getresponse()
    answer = (response.status, json.loads(response.read()))
    connection.close()
    return answer


def test_answer_ends_an_invocation(api: RuntimeAPI) -> None:
    invocation = Invocation(event={"any": 1}, deadline=time.time() + 1)
    api.put(invocation)

    assert call(api, "GET", "/invocation/next") == (200, {"any": 1})
    path = f"/invocation/{invocation.request_id}/response"
    assert call(api, "POST", path, "done") == (202, {"status": "OK"})
    assert invocation.report is not None
    assert invocation.report.json == "done"


def test_second_answer_to_one_invocation_is_forbidden(api: RuntimeAPI) -> None:
    invocation = Invocation(event={}, deadline=time.time() + 1)
    api.put(invocation)
    call(api, "GET", "/invocation/next")
    path = f"/invocation/{invocation.request_id}/error"
    call(api, "POST", path, {"errorType": "First"})

    assert call(api, "POST", path, {"errorType": "Second"})[0] == 403
    assert invocation.report is not None
    assert invocation.report.json == {"errorType": "First"}


def test_answer_to_no_invocation_is_forbidden(api: RuntimeAPI) -> None:
    status, error = call(api, "POST", "/invocation/any/response", "done")

    assert (status, error["errorType"]) == (403, "InvalidRequestID")


def test_next_invocation_waits_for_the_answer_to_the_last(api: RuntimeAPI) -> None:
    api.put(Invocation(event={}, deadline=time.time() + 1))
    call(api, "GET", "/invocation/next")

    assert call(api, "GET", "/invocation/next")[0] == 403


def test_error_of_the_start_is_kept(api: RuntimeAPI) -> None:
    assert call(api, "POST", "/init/error", {"errorType": "Any"}) == (202, {"status": "OK"})
    assert [report.json for report in api.init_errors] == [{"errorType": "Any"}]
