"""Units of work on a Ray cluster: an actor a worker, which holds the model and stores what it computes."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from crested_like._checks import positive_int
from crested_like._errors import BackendError, EngineError
from crested_like.engine._task import Task

log = logging.getLogger(__name__)

#: Units that a worker has at a time: the one it does, and the next, so that it never waits for the driver.
AHEAD = 2
#: Seconds without a worker after which it is said what the cluster lacks, and to wait for the cluster to answer.
PATIENCE = 60.0
#: Errors of a machine rather than of the work: a disk that is full, over its quota, read-only or broken.
OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
#: Environment variables from which libraries take the number of their threads.
THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("NPROC", "PJRT_NPROC"),  # JAX
)


@dataclass(frozen=True)
class Ray:
    """A Ray cluster: each worker is an actor with a model of its own, on one accelerator or some processors.

    Files that workers write must be where all of them, and this process, find them under the same path.

    Parameters
    ----------
    address
        Of the cluster, as ``ray.init`` takes it; default the one of ``RAY_ADDRESS``, one that runs on this machine,
        or else one that is started here for as long as the run takes.
    workers
        How many; default as many as the cluster has room for at the start. Those that there is no room for yet begin
        when there is.
    processors
        Threads of a worker, and processors that Ray keeps for it. Every worker has the same number, as results hang
        on it in their last digits.
    accelerators
        Accelerators of a worker; default one where the cluster has any, else none.
    tries
        How often a unit is begun before the run ends with its error.
    environment
        More environment variables of the workers.
    """

    address: str | None = None
    workers: int | None = None
    processors: int = 2
    accelerators: float | None = None
    tries: int = 3
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("processors", "tries"):
            positive_int(name, getattr(self, name))
        if self.workers is not None:
            positive_int("workers", self.workers)

    def run(self, task: Task, units: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Do units, in any order: pairs of the number of each and what the task says of it, as they are done.

        A unit whose worker is lost, or fails, is given to another. A machine whose disk fails gets no more work.

        Raises
        ------
        BackendError
            If Ray is not installed.
        EngineError
            If a unit failed ``tries`` times, no worker can be started, or all machines have failed.
        """
        with _connected(self) as ray, _Crew(ray, self, task) as crew:
            yield from crew.each(units)


@contextmanager
def _connected(engine: Ray) -> Iterator[Any]:
    """Ray, connected to a cluster; a connection that was there before stays."""
    try:
        import ray
    except ImportError:
        raise BackendError("engine='ray' needs Ray. Install it with: pip install 'crested_like[ray]'") from None
    if ray.is_initialized():
        yield ray
        return
    address = engine.address or os.environ.get("RAY_ADDRESS")
    try:
        _reach(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except OSError as error:
        raise EngineError(
            f"No Ray cluster answers at {address}: {error}. Start one with 'ray start --head', or leave the address "
            f"out for one on this machine alone."
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str | None) -> None:
    """Raise an OSError where nobody listens; Ray itself would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()


class _Holder:
    """What an actor is: a task, in a process of its own."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def place(self) -> str:
        """Where it is: the id of its node."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def do(self, unit: int) -> Any:
        """Do one unit."""
        [answer] = self._task.do([unit])
        return answer


@dataclass(eq=False)
class _Worker:
    number: int
    actor: Any
    node: str = ""
    units: deque[int] = field(default_factory=deque)
    """Those it has, the one it does first."""


class _Crew:
    """Workers and what each of them does."""

    def __init__(self, ray: Any, engine: Ray, task: Task) -> None:
        self._ray, self._engine = ray, engine
        self._task = ray.put(task)
        self._options = self._asked_for()
        self._numbers = count(1)
        self._starting: dict[Any, _Worker] = {}
        self._calls: dict[Any, tuple[_Worker, int]] = {}
        self._ready: list[_Worker] = []
        self._hungry: deque[_Worker] = deque()  # a worker once for every unit that it can take
        self._again: deque[int] = deque()
        self._failed_on: dict[int, list[str]] = {}
        self._set_aside: set[str] = set()
        self._false_starts = 0
        self._events: Counter[str] = Counter()

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in [*self._starting.values(), *self._ready]:
            self._ray.kill(worker.actor)

    def _asked_for(self) -> dict[str, Any]:
        engine = self._engine
        accelerators = engine.accelerators
        if accelerators is None:
            accelerators = 1 if self._ray.cluster_resources().get("GPU") else 0
        variables = {name: os.environ[name] for name in ("KERAS_BACKEND",) if name in os.environ}
        variables |= dict.fromkeys(THREADS, str(engine.processors)) | dict(engine.environment)
        return {
            "num_cpus": engine.processors,
            "num_gpus": accelerators,
            "max_restarts": 0,  # a new one is started here, which knows what the lost one had
            "runtime_env": {"env_vars": variables},
        }

    def _held_by(self, resources: Mapping[str, float]) -> int:
        """Workers that there is room for."""
        asked = {"CPU": self._options["num_cpus"], "GPU": self._options["num_gpus"]}
        return int(min(resources.get(name, 0) // wanted for name, wanted in asked.items() if wanted))

    def each(self, units: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Do units: pairs of their numbers and what the task says, as they are done."""
        wanted = self._engine.workers or max(self._held_by(self._ray.cluster_resources()), 1)
        source = iter(units)
        self._again.extend(islice(source, wanted))  # no more workers than units
        for _ in range(len(self._again)):
            self._start()
        while self._again or self._calls:
            yield from self._answers()
            self._give(source)
        if self._events:
            log.warning("Done, after this: %s.", ", ".join(f"{what} ({n}x)" for what, n in self._events.items()))

    def _start(self) -> None:
        options = self._options
        if self._set_aside:
            options = {**options, "scheduling_strategy": self._elsewhere()}
        worker = _Worker(next(self._numbers), self._ray.remote(_Holder).options(**options).remote(self._task))
        self._starting[worker.actor.place.remote()] = worker

    def _elsewhere(self) -> Any:
        """The machine in use that has the fewest workers."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        taken = Counter(worker.node for worker in self._ready)
        return NodeAffinitySchedulingStrategy(min(self._in_use(), key=lambda node: taken[node]), soft=False)

    def _in_use(self) -> set[str]:
        """Machines that are there, large enough for a worker, and not set aside."""
        alive = [node for node in self._ray.nodes() if node["Alive"]]
        fit = {str(node["NodeID"]) for node in alive if self._held_by(node["Resources"])}
        return fit - self._set_aside

    def _give(self, source: Iterator[int]) -> None:
        """Give workers what they can take."""
        for _ in range(len(self._hungry)):
            worker = self._hungry.popleft()
            if worker not in self._ready:
                continue
            unit = self._next_for(worker, source)
            if unit is None:
                self._hungry.append(worker)
            else:
                worker.units.append(unit)
                self._calls[worker.actor.do.remote(unit)] = worker, unit

    def _next_for(self, worker: _Worker, source: Iterator[int]) -> int | None:
        """The next unit; one that has failed goes to a machine where it has not, if there is one."""
        for place, unit in enumerate(self._again):
            failed_on = self._failed_on.get(unit, [])
            if worker.node not in failed_on or all(other.node in failed_on for other in self._ready):
                del self._again[place]
                return unit
        return next(source, None)

    def _answers(self) -> Iterator[tuple[int, Any]]:
        """Wait for something to happen, and see to it."""
        done, _ = self._ray.wait([*self._calls, *self._starting], timeout=PATIENCE)
        if not done and not self._ready:
            log.warning(
                "No worker has started yet. Each needs %s; the cluster has %s in all.",
                {name: self._options[name] for name in ("num_cpus", "num_gpus")},
                {name: self._ray.cluster_resources().get(name, 0) for name in ("CPU", "GPU")},
            )
        for answer in done:
            if answer in self._starting:
                self._see_start(answer)
            elif answer in self._calls:  # not, if its worker has been lost meanwhile
                yield from self._see_answer(answer)

    def _see_start(self, answer: Any) -> None:
        worker = self._starting.pop(answer)
        try:
            worker.node = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            self._false_starts += 1
            self._note("a worker did not start", f"worker {worker.number}: {_reason(error)}")
            if self._false_starts >= self._engine.tries and not self._ready:
                raise EngineError(
                    f"{self._false_starts} workers did not start, one after the other. The last: {_reason(error)}"
                ) from error
            self._start()
            return
        if worker.node in self._set_aside:
            self._ray.kill(worker.actor)
            self._start()
            return
        self._false_starts = 0
        self._ready.append(worker)
        self._hungry.appendleft(worker)
        self._hungry.extend([worker] * (AHEAD - 1))

    def _see_answer(self, answer: Any) -> Iterator[tuple[int, Any]]:
        worker, unit = self._calls.pop(answer)
        exceptions = self._ray.exceptions
        try:
            said = self._ray.get(answer)
        except exceptions.RayTaskError as error:
            self._is_done(worker, unit)
            self._see_failure(worker, unit, error.cause or error)
        except exceptions.RayError as error:
            self._see_loss(worker, error)
        else:
            self._is_done(worker, unit)
            yield unit, said

    def _is_done(self, worker: _Worker, unit: int) -> None:
        worker.units.remove(unit)
        self._hungry.append(worker)

    def _see_failure(self, worker: _Worker, unit: int, error: BaseException) -> None:
        """A unit ended in an error: another worker gets it, of another machine if there is one."""
        self._note("a unit failed", f"unit {unit} on worker {worker.number}: {_reason(error)}")
        self._try_again(unit, worker.node, error)
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            self._leave_machine(worker.node, error)

    def _see_loss(self, worker: _Worker, error: BaseException) -> None:
        """A worker is gone: others get what it had, and a new one is started."""
        lost = self._let_go(worker)
        self._ray.kill(worker.actor)  # it may be out of reach only
        self._note("a worker was lost", f"worker {worker.number} with units {lost}: {_reason(error)}")
        self._again.extendleft(reversed(lost[1:]))  # these it had not begun
        if lost:
            self._try_again(lost[0], worker.node, error)
        self._start()

    def _leave_machine(self, node: str, error: BaseException) -> None:
        """A machine's disk fails: its workers are let go, and what they had goes to others."""
        if node in self._set_aside:
            return
        self._set_aside.add(node)
        self._note("a machine got no more work", f"node {node}: {_reason(error)}")
        for worker in [one for one in self._ready if one.node == node]:
            self._again.extendleft(reversed(self._let_go(worker)))
            self._ray.kill(worker.actor)
        if not self._in_use():
            raise EngineError(f"All machines have failed. The last: {_reason(error)}") from error
        if not self._ready and not self._starting:
            self._start()

    def _let_go(self, worker: _Worker) -> list[int]:
        """Forget a worker; the units that it had."""
        self._ready.remove(worker)
        self._calls = {answer: told for answer, told in self._calls.items() if told[0] is not worker}
        return list(worker.units)

    def _try_again(self, unit: int, node: str, error: BaseException) -> None:
        failures = self._failed_on.setdefault(unit, [])
        failures.append(node)
        if len(failures) >= self._engine.tries:
            raise EngineError(f"Unit {unit} failed {len(failures)} times. The last: {_reason(error)}") from error
        self._again.append(unit)

    def _note(self, what: str, told: str) -> None:
        self._events[what] += 1
        log.warning("%s: %s.", what[0].upper() + what[1:], told)


def _reason(error: BaseException) -> str:
    """The first line of what an error says that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
