"""`recsys explore`: serves the explorer of the live release on this machine."""

from pipelines.explorer import shelf
from pipelines.settings import Settings
from recsys.errors import ResourceFault, UsageFault
from recsys.progress import say

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def run(settings: Settings) -> None:
    """Serves until interrupted.

    Raises:
        InputFault: there is no release yet, or something is damaged.
        UsageFault: the extra `explore` is not installed.
        ResourceFault: the port is taken, or the address is not of this machine.
    """
    try:
        import uvicorn

        from pipelines.explorer import app, live
    except ImportError as error:
        raise UsageFault(
            f"the explorer needs {error.name}", where="explore",
            fix="pip install 'recsys[explore]', or from a checkout: pip install -e '.[explore]'",
        ) from None  # fmt: skip
    chosen = settings.explore
    held = shelf.load(settings)
    host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
    place = f"{host}:{chosen.port}"
    try:  # before the model is made ready: that takes a while
        opened = uvicorn.Config("", chosen.host, chosen.port, log_level="error").bind_socket()
    except SystemExit:
        raise ResourceFault(
            "the address cannot be opened", value=place, where="explore.host, explore.port",
            fix="name another port, as in explore.port=8001, or an address of this machine",
        ) from None  # fmt: skip
    application = app.build(held, live.Live(held), (chosen.host, *chosen.hosts))
    if chosen.host not in LOOPBACK:
        say(
            f"warning: {chosen.host} is not loopback: whoever reaches this port reads every "
            "user's history"
        )
    say(f"http://{place}/ shows {held.name}; Ctrl-C ends it")
    options = uvicorn.Config(application, log_level="error", access_log=False, server_header=False)
    uvicorn.Server(options).run(sockets=[opened])
