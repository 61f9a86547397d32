"""Forwarding, as clients and engines see it."""



from tests.router.conftest import Lab

CHAT = b'{"model": "a", "messages": []}'


async def test_bytes_pass_unchanged_both_ways(lab: Lab) -> None:
    body = b'{"messages" :[{"role":"user","content":"\xc3\xa9 \\u00e9"}],\n "model":"b"}  '
    caller = await lab.call()
    await caller.post(body, path=b"/v1/chat/completions?x=%20y", extra=b"Content-Type: application/json\r\nX-Mine: 1\r\n")
    status, headers, returned = await caller.answer()
    assert (status, returned) == (200, body)
    request = lab.engine.requests[0]
    assert (request.method, request.target, request.body) == (b"POST", b"/v1/chat/completions?x=%20y", body)
    assert request.headers[b"x-mine"] == b"1"
    assert request.headers[b"x-request-id"] == headers[b"x-request-id"]
    assert lab.leases.tickets[0].model == "a"
