"""Counting on a Ray cluster: an actor per CPU, each with one tally, that gets the next piece whenever it is free.

Tallies are added up on their nodes and then in a tree, so that the process that asked gets one sum. What dies with a
node is counted again by others, but for what it had saved, where the folder of parts is one that all nodes see.
"""

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from secrets import token_hex
from typing import Any

from simtool import cluster
from simtool.corpora.reading import Piece
from simtool.corpora.sources import Files
from simtool.errors import SimtoolError
from simtool.executor import TRIES, Report
from simtool.profiles.features import N_FOLDS, find_feature
from simtool.profiles.parts import Manifest, Run, missing, runs_of, sum_of
from simtool.profiles.profile import Profile
from simtool.profiles.tally import CorpusTally
from simtool.profiles.worker import PartTask, Saving, count_piece
from simtool.progress import Counted
from simtool.tokens.backends import use_one_thread
from simtool.tokens.tokenizer import load_tokenizer

FAN_IN = 8  # sums that are added by one task, two at a time in its memory
POLL_SECONDS = 1.0
PATIENCE = 30  # seconds without any actor, after which that is said
BASE_BYTES = 512 << 20  # of a worker beside its counts: libraries, the tokenizer, a batch of text
LIMITS = ("SIMTOOL_LONGEST_DOCUMENT", "SIMTOOL_LARGEST_WINDOW")  # that hold on all nodes
Counts = tuple[Profile, list[Mapping[str, Any]]]  # and the facts of each part that they are the sum of


def count_on_ray(task: PartTask, workers: int, report: Report) -> Counts:
    """The sum of all pieces of a corpus and of the parts in the task's folder, and the facts of each part.

    Parameters
    ----------
    task
        All pieces, as the only part.
    workers
        Actors at most; 0: one per CPU of the cluster.

    Raises
    ------
    SimtoolError
        Where no cluster answers, a node cannot read the text, or a piece is fatal to whoever counts it.
    """
    cluster.connected()
    task = _from_anywhere(task)
    _check_nodes(task)
    with cluster.lost_with_head():
        return _Count(task, workers, report).run()


def _from_anywhere(task: PartTask) -> PartTask:
    """A task whose paths hold on other machines, which work in other folders."""
    pieces = (
        replace(piece, source=piece.source.absolute()) if isinstance(piece.source, Files) else piece
        for piece in task.pieces
    )
    folder = task.folder and replace(task.folder, url=str(Path(task.folder.url).absolute()))
    manifest = task.manifest
    if Path(manifest.tokenizer).exists():
        manifest = replace(manifest, tokenizer=str(Path(manifest.tokenizer).absolute()))
    return replace(
        task, pieces=tuple(pieces), data=task.data and task.data.absolute(), folder=folder, manifest=manifest
    )


def _check_nodes(task: PartTask) -> None:
    """Each node reads the text, and has the tokenizer."""
    sources = (piece.source for piece in task.pieces if isinstance(piece.source, Files))
    files = (file for source in sources for file in source.files if not file.is_remote)
    cluster.check_readable({file.location: file.size for file in files})
    manifest = task.manifest
    for address, fingerprint in cluster.on_each_node(_fingerprint, manifest.tokenizer, task.data).items():
        if fingerprint != manifest.fingerprint:
            raise SimtoolError(
                f"The node {address} of the cluster has another tokenizer {manifest.tokenizer}"
                f" ({fingerprint[:16]}, here {manifest.fingerprint[:16]}). Put the same file on all nodes."
            )


def _fingerprint(tokenizer: str, data: Path | None) -> str:
    return load_tokenizer(tokenizer, data).fingerprint


# ---- on the nodes ------------------------------------------------------------------------------------------


class PieceCounter:
    """An actor: a tally that pieces are counted into, one after the other.

    Its counters are read meanwhile, by another thread: a message per batch would be thousands a second.
    """

    def __init__(self, task: PartTask, limits: Mapping[str, str]):
        self.task, self.limits = task, limits
        self.n_bytes = self.n_tokens = 0

    def start(self) -> str:
        """Load the tokenizer; the node that this is."""
        os.environ.update(self.limits)
        use_one_thread()
        manifest = self.task.manifest
        self.tally = CorpusTally(
            self.task.corpus.name, load_tokenizer(manifest.tokenizer, self.task.data), manifest.features
        )
        self.saving = Saving(self.task, self.tally, threading.Event())
        return cluster.own_node()

    def count(self, piece: Piece, gaps: list[Run]) -> None:
        """Count the batches of a piece that are missing."""
        for n_bytes, n_tokens, _ in count_piece(self.task, piece, gaps, self.tally):
            self.n_bytes += n_bytes
            self.n_tokens += n_tokens
            self.saving.after_batch()

    def counted(self) -> tuple[int, int]:
        """Bytes and tokens so far."""
        return self.n_bytes, self.n_tokens

    def counts(self) -> tuple[tuple[int, int], Counts]:
        """Bytes and tokens, and beside them the counts, which stay on the node."""
        return self.counted(), (self.tally.profile(), [{"skipped": self.tally.skipped}])


def _add_up(handles: Sequence[Any]) -> tuple[str, Counts]:
    """The node that this is, and the sum of counts; two at a time in memory."""
    return cluster.own_node(), _sum_of(map(cluster.result_of, handles))


def _sum_of(parts: Iterable[Counts]) -> Counts:
    return reduce(lambda total, part: (total[0] + part[0], [*total[1], *part[1]]), parts)


def _load_and_add(task: PartTask, names: Sequence[str]) -> tuple[str, Counts]:
    """The sum of saved parts."""
    assert task.folder is not None
    facts = task.folder.facts()
    profile = sum_of(task.folder, names, task.manifest.features)
    return cluster.own_node(), (profile, [facts[name] for name in names])


# ---- here --------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Actor:
    """An actor, the file that it saves its counts in, and the pieces that it was handed, the last of them now.

    node   that it is on; "": it has not started yet
    """

    handle: Any
    part: str
    node: str = ""
    pieces: list[Piece] = field(default_factory=list)


@dataclass(frozen=True)
class _Sum:
    """Counts that lie on a node of the cluster.

    members   {file: pieces of the actor that saves it}; a part that was saved before has none
    """

    handle: Any
    node: str
    members: Mapping[str, Sequence[Piece]]


class _Count:
    """A count as it goes on.

    todo      pieces that nobody has, the largest first
    saved     {file: its facts} of parts whose writers are gone
    unsummed  those of them that are in no sum
    sizes     {file: bytes and tokens} of what each part and actor holds
    calls     {handle: the actor that starts or counts}
    """

    def __init__(self, task: PartTask, workers: int, report: Report):
        self.ray, self.task, self.report = cluster.connected(), task, report
        self.shares = task.folder is not None and not cluster.blind_nodes(Path(task.folder.url))
        self.n_actors = max(1, min(workers or cluster.n_of("CPU"), len(task.pieces)))
        self.bytes_needed = _bytes_of(task.manifest)
        self.room = cluster.Room({"CPU": 1, "memory": self.bytes_needed}, report)
        self.todo = deque(sorted(task.pieces, key=lambda piece: -piece.n_bytes))
        self.saved = task.folder.facts() if task.folder else {}
        self.unsummed = list(self.saved)
        self.sizes = {part: self._saved_size(part) for part in self.saved}
        self.actors: list[_Actor] = []
        self.free: list[_Actor] = []
        self.calls: dict[Any, _Actor] = {}
        self.polls: dict[Any, _Actor] = {}
        self.deaths: Counter[str] = Counter()
        self.n_sums_lost = 0
        self.reported, self.polled_at, self.waits_since = (0, 0), 0.0, time.monotonic()
        if task.folder and not self.shares:
            report(
                "Not all nodes see the cache, so an interrupted count begins anew: set SIMTOOL_CACHE to a folder"
                " that they share."
            )

    def run(self) -> Counts:
        """Count, and add up, until nothing of it is lost."""
        sums: list[_Sum] = []
        while True:
            sums = self._added([*sums, *self._saved_sums(), *self._count()])
            if self.todo or self.unsummed:
                continue
            try:
                return self._result_of(sums[0].handle, [sums[0].node])
            except cluster.WorkerLost as error:
                sums = self._survivors(sums, error)

    # -- pieces --

    def _count(self) -> list[_Sum]:
        """Count what is to do: the counts of each actor, which ends with it."""
        try:
            while self.todo or any(actor.node for actor in self.calls.values()):
                self._hand_out()
                self._wait()
                self._poll()
            return self._gathered()
        finally:
            for actor in self.actors:
                self.ray.kill(actor.handle)
            for state in (self.actors, self.free, self.calls, self.polls):
                state.clear()

    def _hand_out(self) -> None:
        n_busy = sum(bool(actor.node) for actor in self.calls.values())
        for _ in range(min(self.n_actors, len(self.todo) + n_busy) - len(self.actors)):
            self._start_actor()
        while self.todo and self.free:
            actor, piece = self.free.pop(), self.todo.popleft()
            actor.pieces.append(piece)
            self.calls[actor.handle.count.remote(piece, self._gaps(piece))] = actor

    def _start_actor(self) -> None:
        part = replace(
            self.task, pieces=(), file=f"ray-{token_hex(6)}.parquet", folder=self.task.folder if self.shares else None
        )
        remote = self.ray.remote(num_cpus=1, memory=self.bytes_needed, max_concurrency=2)(PieceCounter)
        limits = {name: os.environ[name] for name in LIMITS if name in os.environ}
        actor = _Actor(remote.remote(part, limits), part.name)
        self.actors.append(actor)
        self.calls[actor.handle.start.remote()] = actor

    def _gaps(self, piece: Piece) -> list[Run]:
        return missing(runs_of(self.saved.values()).get(piece.name, []))

    def _wait(self) -> None:
        done, _ = self.ray.wait(list(self.calls), timeout=POLL_SECONDS)
        for call in done:
            if (actor := self.calls.pop(call, None)) is None:
                continue
            try:
                node = cluster.result_of(call)
            except cluster.WorkerLost as error:
                self._lose(actor, error)
            else:
                actor.node = actor.node or node
                self.free.append(actor)
        self.room.check()
        if not any(actor.node for actor in self.actors) and time.monotonic() - self.waits_since > PATIENCE:
            self.report(f"Waiting for a node with a CPU and {self.bytes_needed / 1e9:.1f} GB of memory to spare.")
            self.waits_since = time.monotonic()

    def _poll(self) -> None:
        """Ask how far each is, and say how far all are."""
        if time.monotonic() - self.polled_at < POLL_SECONDS:
            return
        self.polled_at = time.monotonic()
        done = self.ray.wait(list(self.polls), num_returns=len(self.polls), timeout=0)[0] if self.polls else []
        for call in done:
            actor = self.polls.pop(call)
            try:
                size = cluster.result_of(call)
            except cluster.WorkerLost as error:
                self._lose(actor, error)
            else:
                self.sizes |= {actor.part: size} if actor in self.actors else {}
        for actor in {*self.actors} - {*self.polls.values()}:
            if actor.node:
                self.polls[actor.handle.counted.remote()] = actor
        self._report_progress()

    def _report_progress(self) -> None:
        total = tuple(int(sum(size)) for size in zip((0, 0), *self.sizes.values(), strict=True))
        new = [now - before for now, before in zip(total, self.reported, strict=True)]
        left = [*self.todo, *(actor.pieces[-1] for actor in self.calls.values() if actor.pieces)]
        n_bytes = sum(n for _, n in self.task.manifest.pieces)
        share = 1 - sum(piece.n_bytes for piece in left) / n_bytes if n_bytes else None
        self.reported = total
        self.report(Counted(0, *new, share))

    # -- what is lost --

    def _lose(self, actor: _Actor, error: cluster.WorkerLost) -> None:
        """An actor is gone: others count what it held."""
        if actor not in self.actors:
            return
        cluster.check_head()  # all actors go with it
        self.ray.kill(actor.handle)  # it may only be out of reach
        if actor not in self.free:
            self._count_death(actor, error)
        self.actors.remove(actor)
        self.free = [other for other in self.free if other is not actor]
        self.calls = {call: other for call, other in self.calls.items() if other is not actor}
        self.report(f"{self._death_of(actor, error)}; others count what it held.")
        self._recover(actor.part, actor.pieces)

    def _death_of(self, actor: _Actor, error: cluster.WorkerLost) -> str:
        """What died with an actor, and where."""
        if not actor.node:
            return f"A worker was lost before it began, since {error.reason}"
        address = cluster.address_of(actor.node)
        if actor.node not in cluster.nodes():
            return f"The node {address} died"
        return f"A worker on the node {address} was lost, since {error.reason}"

    def _count_death(self, actor: _Actor, error: cluster.WorkerLost) -> None:
        """Of who counts a piece, or starts: what is fatal to each is not tried for ever."""
        piece = actor.pieces[-1].name if actor.pieces else ""
        self.deaths[piece] += 1
        if self.deaths[piece] >= (TRIES if piece else TRIES * self.n_actors):
            raise SimtoolError(
                f"Workers of the cluster were lost {self.deaths[piece]} times at the same work, the last one since"
                f" {error.reason}.\nRepeat it with fewer --workers; what was saved is not counted again."
            ) from error

    def _recover(self, part: str, pieces: Sequence[Piece]) -> None:
        """Use what a lost part saved, and put back the rest of its pieces."""
        self.sizes.pop(part, None)
        if part not in self.saved:
            part = self._put_aside(part)
        if part in self.saved:
            self.unsummed.append(part)
            self.sizes[part] = self._saved_size(part)
        self.todo.extend(piece for piece in pieces if self._gaps(piece))

    def _put_aside(self, part: str) -> str:
        """Give a lost actor's part another name, under which it writes no more, should it still live."""
        path = Path(self.task.folder.url) / part if self.shares and self.task.folder else None
        if path is None or not path.exists():
            return part
        path = path.rename(path.with_name(f"lost-{part}"))
        facts = self.task.folder.facts().get(path.name) if self.task.folder else None
        self.saved |= {path.name: facts} if facts else {}
        return path.name

    def _saved_size(self, part: str) -> tuple[int, int]:
        profile = self.task.folder.load(part, ()) if self.task.folder else None
        return (profile.size["bytes"], profile.size["tokens"]) if profile else (0, 0)

    # -- sums --

    def _gathered(self) -> list[_Sum]:
        """The counts of each actor; they stay on its node when it ends."""
        called = [
            (actor, *actor.handle.counts.options(num_returns=2).remote()) for actor in self.actors if actor.pieces
        ]
        sums = []
        for actor, size, counts in called:
            try:
                self.sizes[actor.part] = self._result_of(size)
            except cluster.WorkerLost as error:
                self._lose(actor, error)
            else:
                sums.append(_Sum(counts, actor.node, {actor.part: tuple(actor.pieces)}))
        self._report_progress()
        return sums

    def _saved_sums(self) -> list[_Sum]:
        """Of the parts that are in no sum yet: added up by the cluster where it sees them, else here."""
        names, self.unsummed = self.unsummed, []
        if not names:
            return []
        if not self.shares:
            _, counts = _load_and_add(self.task, names)
            return [_Sum(self.ray.put(counts), cluster.own_node(), dict.fromkeys(names, ()))]
        groups = [names[i : i + FAN_IN] for i in range(0, len(names), FAN_IN)]
        remote = self._task(_load_and_add)
        calls = [(group, *remote.remote(replace(self.task, pieces=()), group)) for group in groups]
        sums = []
        for group, node, counts in calls:
            try:
                sums.append(_Sum(counts, self._result_of(node), dict.fromkeys(group, ())))
            except cluster.WorkerLost as error:
                self._count_lost_sum(error)
                self.unsummed += group
        return sums

    def _added(self, sums: list[_Sum]) -> list[_Sum]:
        """Sums in a tree, whose lowest branches lie on a node each. What was lost meanwhile is to do again."""
        remote = self._task(_add_up)
        while len(sums) > 1:
            calls = [
                (group, remote.options(**cluster.on_node(group[0].node)).remote([part.handle for part in group]))
                for group in groups_of(sums)
                if len(group) > 1
            ]
            summed = {id(part) for group, _ in calls for part in group}
            sums = [part for part in sums if id(part) not in summed]
            for group, (node, counts) in calls:
                sums += self._ended(group, node, counts)
        return sums

    def _task(self, function: Any) -> Any:
        # no retries of Ray's own: what a sum was made of may be gone, and would be waited for
        return self.ray.remote(num_cpus=1, memory=self.bytes_needed, num_returns=2, max_retries=0)(function)

    def _ended(self, group: list[_Sum], node: Any, counts: Any) -> list[_Sum]:
        try:
            members = {part: pieces for member in group for part, pieces in member.members.items()}
            return [_Sum(counts, self._result_of(node, [member.node for member in group]), members)]
        except cluster.WorkerLost as error:
            self.ray.cancel(node, force=True)
            return self._survivors(group, error)

    def _result_of(self, handle: Any, nodes: Sequence[str] = ()) -> Any:
        """What a task returned that reads what lies on these nodes.

        Raises
        ------
        WorkerLost
            Where it died, or one of them did: Ray itself may look for what lay there for 10 minutes.
        SimtoolError
            Where no node is left that could run it.
        """
        while not self.ray.wait([handle], timeout=POLL_SECONDS)[0]:
            self.room.check()
            if not set(nodes) <= cluster.nodes().keys():
                raise cluster.WorkerLost("a node died that held what it needed")
        return cluster.result_of(handle)

    def _survivors(self, sums: list[_Sum], error: cluster.WorkerLost) -> list[_Sum]:
        """Those of these that lie on nodes that live; what the others held is to do again."""
        living = cluster.nodes()
        lost = [member for member in sums if member.node not in living]
        if not lost:
            self._count_lost_sum(error)
        for node in {member.node for member in lost}:
            self.report(f"The node {cluster.address_of(node)} died; others count what it held.")
        for member in lost:
            for part, pieces in member.members.items():
                self._recover(part, pieces)
        return [member for member in sums if member.node in living]

    def _count_lost_sum(self, error: cluster.WorkerLost) -> None:
        """What cannot be added up on any node is not tried for ever."""
        self.n_sums_lost += 1
        if self.n_sums_lost >= TRIES:
            raise SimtoolError(
                f"The cluster could not add up counts in {TRIES} tries, the last time since {error.reason}."
            ) from error


def groups_of(sums: Sequence[_Sum]) -> list[list[_Sum]]:
    """FAN_IN sums at most together, of the same node as long as a node has several."""
    by_node: dict[str, list[_Sum]] = {}
    for member in sums:
        by_node.setdefault(member.node, []).append(member)
    rows = list(by_node.values()) if any(len(row) > 1 for row in by_node.values()) else [list(sums)]
    return [row[i : i + FAN_IN] for row in rows for i in range(0, len(row), FAN_IN)]


def _bytes_of(manifest: Manifest) -> int:
    """Memory of a worker: three times the counts, as adding takes, and what it needs besides."""
    vocabulary_size = load_tokenizer(manifest.tokenizer).vocabulary_size
    return BASE_BYTES + 3 * 8 * N_FOLDS * sum(
        find_feature(name).dimension(vocabulary_size) for name in manifest.features
    )
