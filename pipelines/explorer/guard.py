"""What stands before every page: who may ask, and what a browser may do with the answer."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Answers only requests for a known host, from pages of this explorer; adds the headers.

    The Host check is what keeps a foreign web page from reading the explorer through a name of its
    own that leads to this machine (DNS rebinding).

    Args:
        application: what is guarded.
        hosts: names beside loopback that a request may ask for, without their port.
    """

    def __init__(self, application: Application, hosts: tuple[str, ...] = ()) -> None:
        self._application = application
        self._hosts = {name.lower() for name in (*LOOPBACK, *hosts)}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1")
                   for name, value in scope["headers"]}  # fmt: skip
        if without_port(headers.get("host", "")) not in self._hosts:
            await _refuse(send, 421, "This explorer does not answer for that host name.")
            return
        site = headers.get("sec-fetch-site", "none")
        if scope["method"] not in {"GET", "HEAD"} and site not in {"same-origin", "none"}:
            await _refuse(send, 403, "Another site asked for this.")
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(
                    pair for pair in _encoded(HEADERS) if pair[0] not in known
                )]  # fmt: skip
            await send(message)

        await self._application(scope, receive, with_headers)


def without_port(host: str) -> str:
    """`localhost:8000` as `localhost`, `[::1]:8000` as `[::1]`."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


async def _refuse(send: Send, status: int, text: str) -> None:
    headers = _encoded(HEADERS | {"Content-Type": "text/plain; charset=utf-8"})
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
