"""A Ray cluster: reached, asked what it has, and looked over before anything is computed on it.

Whatever runs there needs simtool on each node, and its files under the same paths.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from simtool.addresses import without_home, without_secrets
from simtool.errors import SimtoolError

CONNECT_SECONDS = 30  # that a cluster has to answer
NODE_SECONDS = 300  # that it has to get a node for what no living one has room for: autoscalers take minutes
LOOK_SECONDS = 5
HEAD_SECONDS = 20  # that the head may not answer; after 60 Ray itself would end this process, with a line of its own
SETTINGS = bytes(
    [0, 0, 0, 4, 0, 0, 0, 0, 0]
)  # the first frame of both sides in HTTP/2 (RFC 9113); its fourth byte says so
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS
Resource = Literal["CPU", "GPU"]


class WorkerLost(SimtoolError):
    """What ran a task died; another may do it.

    reason   "its node died"
    """

    def __init__(self, reason: str):
        super().__init__(f"A worker of the cluster was lost: {reason}.")
        self.reason = reason

    def __reduce__(self) -> tuple[type["WorkerLost"], tuple[str]]:
        return WorkerLost, (self.reason,)


class HeadLost(SimtoolError):
    """The head of the cluster is gone, and the cluster with it."""


def connected() -> Any:
    """The module `ray`, connected to the cluster of RAY_ADDRESS, or started on this machine.

    Raises
    ------
    SimtoolError
        Where Ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ImportError as error:
        raise SimtoolError("The ray engine needs Ray: pip install '.[ray]' in a clone of simtool.") from error
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # a page for each loss that was put right
    if not ray.is_initialized():
        if address := os.environ.get("RAY_ADDRESS"):
            _check_reachable(address)
        try:
            ray.init(address=address or None, log_to_driver=False)
        except ConnectionError as error:
            raise _no_cluster(address or "auto", error) from error
        except (RuntimeError, ValueError) as error:  # another version of Ray, or a package of Ray's that is missing
            raise SimtoolError(f"Ray cannot use {without_secrets(address or 'this machine')}: {error}") from error
    return ray


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes, and then print a page."""
    place = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        if place.hostname is not None and place.port is not None:  # "auto" and "local" name neither
            _greet(place.hostname, place.port)
    except (OSError, ValueError) as error:
        raise _no_cluster(address, error) from error


def _greet(host: str, port: int) -> None:
    """Whoever listens speaks HTTP/2, as Ray does: where another accepts, Ray would try for a quarter of an hour."""
    with socket.create_connection((host, port), CONNECT_SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return
        connection.sendall(GREETING)
        answer = connection.makefile("rb").read(len(SETTINGS))
    if answer[3:4] != SETTINGS[3:4]:
        raise OSError("what listens there is no Ray cluster")


def _no_cluster(address: str, error: Exception) -> SimtoolError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return SimtoolError(
        f"No Ray cluster answers at {without_secrets(address)} within {CONNECT_SECONDS} s ({reason}).\n"
        "Start one there (ray start --head), or unset RAY_ADDRESS to use this machine alone."
    )


def check_head() -> None:
    """See that the head of the cluster is there, before it is asked: what it is asked for waits for it.

    Raises
    ------
    HeadLost
        Where nothing listens there for a while.
    """
    address = getattr(connected().get_runtime_context(), "gcs_address", "")  # what ray:// leads to has none
    host, _, port = address.rpartition(":")
    lost_at = time.monotonic() + HEAD_SECONDS
    while host and (error := _refusal(host.strip("[]"), int(port))):
        if time.monotonic() > lost_at:
            raise HeadLost(
                f"The head of the Ray cluster died: nothing has answered at {address} for {HEAD_SECONDS} s"
                f" ({error.strerror or error}).\n"
                "Start the cluster and repeat the command: it goes on from what is saved."
            ) from error
        time.sleep(1)


def _refusal(host: str, port: int) -> OSError | None:
    """Why nobody can be reached there; None where somebody listens."""
    try:
        socket.create_connection((host, port), HEAD_SECONDS).close()
    except OSError as error:
        return error
    return None


@contextmanager
def lost_with_head() -> Iterator[None]:
    """What Ray says where what it needs is gone may be no more than that the head is: then it is said that it is.

    Raises
    ------
    HeadLost
        Where that is so.
    """
    try:
        yield
    except connected().exceptions.RayError:
        check_head()
        raise


def _node_table() -> list[dict[str, Any]]:
    """All nodes, those that died too."""
    check_head()
    return connected().nodes()


def n_of(resource: Resource) -> int:
    """How many of these all nodes have together."""
    check_head()
    return int(connected().cluster_resources().get(resource, 0))


def result_of(handle: Any) -> Any:
    """What a task returned; what the user can mend is raised as it was there, without Ray's own words around it.

    Raises
    ------
    WorkerLost
        Where what ran it died, or what it needed lay on a node that died.
    """
    ray = connected()
    try:
        return ray.get(handle)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SimtoolError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        if reason := _loss(error, ray.exceptions):
            raise WorkerLost(reason) from error
        raise


def _loss(error: Exception, kinds: Any) -> str:
    """What died, by the error of Ray; "" where nothing did."""
    reasons = {
        kinds.NodeDiedError: "its node died",
        kinds.OutOfMemoryError: "memory ran out on its node",
        (kinds.RayActorError, kinds.WorkerCrashedError, kinds.LocalRayletDiedError): "its process died",
        kinds.ObjectLostError: "a node died that held what it needed",
    }
    return next((reason for kind, reason in reasons.items() if isinstance(error, kind)), "")


def nodes() -> dict[str, str]:
    """{id: address} of the nodes that live."""
    return {node["NodeID"]: node["NodeManagerAddress"] for node in _node_table() if node["Alive"]}


def address_of(node: str) -> str:
    """Of a node, of one that died too."""
    return next((other["NodeManagerAddress"] for other in _node_table() if other["NodeID"] == node), node[:8])


class Room:
    """Whether some node of the cluster can ever run a task: waited for, since nodes are added, but not for ever.

    Without it Ray would wait silently for what no node is left to do.

    needs   {resource: how much}, of "memory" in bytes
    """

    def __init__(self, needs: Mapping[str, float], report: Callable[[str], None]):
        self.needs, self.report = needs, report
        self.looked_at = -float("inf")
        self.lacking_since: float | None = None

    def check(self) -> None:
        """Look, now and then.

        Raises
        ------
        SimtoolError
            Where no node has had room for a while.
        """
        now = time.monotonic()
        if now - self.looked_at < LOOK_SECONDS:
            return
        self.looked_at = now
        if any(self._suffices(node["Resources"]) for node in _node_table() if node["Alive"]):
            self.lacking_since = None
        elif self.lacking_since is None:
            self.lacking_since = now
            self.report(f"No node of the cluster has {self}; waiting {NODE_SECONDS} s for one.")
        elif now - self.lacking_since > NODE_SECONDS:
            raise SimtoolError(
                f"No node of the cluster has had {self} for {NODE_SECONDS} s.\n"
                "Start one and repeat the command: it goes on from what is saved."
            )

    def _suffices(self, resources: Mapping[str, float]) -> bool:
        return all(resources.get(name, 0) >= n for name, n in self.needs.items())

    def __str__(self) -> str:
        parts = [
            f"{n / 1e9:.1f} GB of memory" if name == "memory" else f"{n:g} {name}"
            for name, n in self.needs.items()
            if n
        ]
        return " and ".join(parts)


def on_node(node: str, only: bool = False) -> dict[str, Any]:
    """Options of a task or actor that is to run on a node, or nowhere else."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=not only)}


def own_node() -> str:
    """The id of the node that this process talks to, which lives as long as it does."""
    return connected().get_runtime_context().get_node_id()


def on_each_node(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """{address: what a module-level function returned on that node}."""
    ray = connected()
    remote = ray.remote(num_cpus=0)(function)
    addresses = nodes()
    handles = {node: remote.options(**on_node(node, only=True)).remote(*arguments) for node in addresses}
    results = {}
    for node, handle in handles.items():
        try:
            results[addresses[node]] = result_of(handle)
        except (WorkerLost, ray.exceptions.RayError) as error:
            if node in nodes():  # it did not just die
                raise SimtoolError(
                    f"The node {addresses[node]} of the cluster cannot run simtool ({_last_line(error)}).\n"
                    "All nodes need the same Python, simtool and libraries as this machine."
                ) from error
    return results


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def check_readable(paths: Mapping[str, int | None]) -> None:
    """Each node sees these files and folders.

    Parameters
    ----------
    paths
        {absolute path: its size in bytes; None: whatever it is}.

    Raises
    ------
    SimtoolError
        Where one does not, or sees another file there.
    """
    for address, reason in on_each_node(_why_unreadable, dict(paths)).items():
        if reason:
            raise SimtoolError(
                f"The node {address} of the cluster cannot read {reason}.\n"
                "All nodes need the same files under the same paths: put them where all see them, or name URLs."
            )


def _why_unreadable(paths: Mapping[str, int | None]) -> str:
    """The first of these that cannot be read here, and why; "" where all can."""
    for path, size in paths.items():
        try:
            n_bytes = os.stat(path).st_size
            if not os.access(path, os.R_OK):
                return f"{without_home(path)} (permission denied)"
        except OSError as error:
            return f"{without_home(path)} ({(error.strerror or str(error)).lower()})"
        if size is not None and n_bytes != size:
            return f"{without_home(path)} as it is here ({n_bytes:,} bytes there, {size:,} here)"
    return ""


def blind_nodes(folder: Path) -> list[str]:
    """Addresses of the nodes that do not see what is written into a folder here."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder.absolute() / f".{secrets.token_hex(8)}.probe"
    probe.touch()
    try:
        return [address for address, reason in on_each_node(_why_unreadable, {str(probe): 0}).items() if reason]
    finally:
        probe.unlink()


def check_shared(folder: Path, option: str) -> None:
    """Each node sees what is written into a folder.

    Raises
    ------
    SimtoolError
        Where one does not.
    """
    if blind := blind_nodes(folder):
        place = without_home(str(folder))
        raise SimtoolError(
            f"{option} {place} is not shared: {', '.join(blind)} cannot see what is written there.\n"
            "Name a folder that all nodes of the cluster see under the same path."
        )
