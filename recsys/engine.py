"""Running one function over the user buckets: in turn, in threads, or as tasks on a Ray cluster."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

from pydantic import Field

from recsys.errors import ResourceFault, UsageFault
from recsys.offline import stay_offline
from recsys.settings import Section

P = TypeVar("P")
R = TypeVar("R")


class EngineSettings(Section):
    """How the work over user buckets is spread."""

    kind: Literal["local", "ray"] = Field(
        "local", description="this process, or a Ray cluster (extra `scale`)"
    )
    threads: int = Field(
        1,
        ge=1,
        le=256,
        description="local: buckets worked on at once; torch and faiss thread by themselves",
    )
    address: str = Field(
        "", description="ray: of a running cluster, or auto; empty starts one on this machine"
    )
    retries: int = Field(
        3, ge=0, le=100, description="ray: how often a bucket is tried again after a lost node"
    )


def map_buckets(
    function: Callable[[P], R], parts: Sequence[P], settings: EngineSettings
) -> list[R]:
    """`function` of every part, in the order of `parts`, wherever it runs.

    Args:
        function: of one part, a bucket's number or its rows; for Ray it and what it refers to are
            sent to every node once, so it should refer to no more than it needs.
        parts: what to work on, one task each.
        settings: where.

    Raises:
        UsageFault: Ray is asked for and not installed, or there is no cluster at the address.
        ResourceFault: a part was lost with its node more often than `retries`.
    """
    if settings.kind == "ray":
        return _on_ray(function, parts, settings)
    if settings.threads == 1:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(settings.threads) as pool:
        return list(pool.map(function, parts))


def _on_ray(function: Callable[[P], R], parts: Sequence[P], settings: EngineSettings) -> list[R]:
    stay_offline()
    try:
        import ray
    except ImportError:
        raise UsageFault(
            "Ray is not installed", where="engine.kind", fix="pip install 'recsys[scale]'"
        ) from None
    started = not ray.is_initialized()
    try:
        if started:
            ray.init(
                address=settings.address or None, log_to_driver=False, logging_level=logging.ERROR
            )
    except (ConnectionError, ValueError) as error:
        raise UsageFault(
            f"there is no Ray cluster: {str(error).splitlines()[0]}", value=settings.address,
            where="engine.address", fix="start one with `ray start --head`, or leave it empty",
        ) from None  # fmt: skip
    try:
        task: Any = ray.remote(max_retries=settings.retries, num_cpus=1)(_called)
        shared = ray.put(function)
        waiting = [task.remote(shared, part) for part in parts]
        done: list[R] = ray.get(waiting)
        return done
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise ResourceFault(
            f"Ray lost a part of the work: {str(error).splitlines()[0]}", where="the cluster",
            fix="look after its nodes, or raise engine.retries, and run the same command again",
        ) from None  # fmt: skip
    finally:
        if started:
            ray.shutdown()


def _called(function: Callable[[Any], R], part: Any) -> R:
    return function(part)
