"""The receiver: requests are answered once their spans are on disk, and then become runs.

Requests that wait are stored in one transaction. An import follows them, and the longer one takes the longer the next
waits, so that it takes a small part of the time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from time import monotonic

from acode_tui.domain.errors import AcodeError, TransactionError
from acode_tui.logs import get_logger
from acode_tui.receiver.errors import RefusedError
from acode_tui.receiver.http import RETRY_SECONDS, Answer, HttpServer, Limits, Request
from acode_tui.receiver.requests import JSON, PROTOBUF, SIGNALS, failure, received, success
from acode_tui.storage.transcript_ports import StoredSpan
from acode_tui.workspace import Workspace
from acode_tui.workspace.telemetry import import_spans, open_span_store

log = get_logger("acode_tui.receive")

PORT = 4318
"""The port of OTLP over HTTP."""
IMPORT_SECONDS = 0.2
"""How long an import waits for further spans."""
IMPORT_SHARE = 5
"""The next import waits so many times as long as the last one took."""
IDLE_SECONDS = 30.0
"""How often an import looks for runs whose state has changed with the time alone."""
PRUNE_SECONDS = 24 * 60 * 60.0

_GRPC_CODES = {
    HTTPStatus.BAD_REQUEST: 3,
    HTTPStatus.FORBIDDEN: 7,
    HTTPStatus.NOT_FOUND: 12,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: 8,
    HTTPStatus.SERVICE_UNAVAILABLE: 14,
}
_UNKNOWN = 2


class Receiver:
    """A receiver for one open workspace. ``stored`` counts the new spans, ``requests`` those answered with 200."""

    def __init__(self, workspace: Workspace, limits: Limits | None = None) -> None:
        self._workspace = workspace
        self._store = open_span_store(workspace.agent_dir)
        self._server = HttpServer(_check, self._handle, _refusal, limits)
        self._waiting: asyncio.Queue[tuple[list[StoredSpan], asyncio.Future[None]]] = asyncio.Queue()
        # Bodies are decoded one at a time: a decoded one takes many times its size.
        self._decoding = asyncio.Lock()
        self._changed = asyncio.Event()
        self.stored = 0
        self.requests = 0

    @property
    def port(self) -> int:
        return self._server.port

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[None]:
        """Listen for the length of the block; at its end everything received is imported. Raises OSError."""
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._server.open(port)
            # What was stored before, by a receiver or a process that was killed, is read into runs first.
            self._changed.set()
            tasks = [
                asyncio.create_task(self._keep_storing(), name="acode-store-spans"),
                asyncio.create_task(self._keep_importing(), name="acode-import-spans"),
            ]
            yield
        finally:
            await self._server.close()
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            if self._changed.is_set():
                await self._import()
            self._store.close()

    async def _handle(self, request: Request, body: bytes) -> Answer:
        async with self._decoding:
            found = await asyncio.to_thread(received, request.path, request.media, request.encoding, body)
        if found.spans:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.put_nowait((found.spans, done))
            try:
                await done
            except AcodeError as error:
                log.warning("receive.not_stored", code=error.code, reason=error.message)
                text = f"{error.code}: {error.message}; {error.hint}"
                raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, text, retry=True) from error
        self.requests += 1
        log.debug("receive.answered", operation=request.path, spans=len(found.spans), rejected=found.rejected)
        return Answer(HTTPStatus.OK, request.media, success(request.path, request.media, found))

    async def _keep_storing(self) -> None:
        """Store what waits, all of it in one transaction, and then answer."""
        while True:
            waiting = [await self._waiting.get()]
            while not self._waiting.empty():
                waiting.append(self._waiting.get_nowait())
            spans = [span for found, _ in waiting for span in found]
            now = int(self._workspace.wall().timestamp())
            error: AcodeError | None = None
            try:
                changed = await asyncio.to_thread(self._store.add, spans, now)
            except AcodeError as failed:
                error, changed = failed, 0
            except Exception as defect:  # the requests that wait are answered, and the next ones stored
                log.error("receive.defect", reason=type(defect).__name__, exc_info=defect)
                error, changed = TransactionError("spans were not stored: the log has the details"), 0
            self.stored += changed
            if changed:
                self._changed.set()
            for _, done in waiting:
                if done.cancelled():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)

    async def _keep_importing(self) -> None:
        pruned = -PRUNE_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._changed.wait()
                    await asyncio.sleep(IMPORT_SECONDS)
            if monotonic() - pruned > PRUNE_SECONDS:
                pruned = monotonic()
                await self._prune()
            started = monotonic()
            await self._import()
            await asyncio.sleep(IMPORT_SHARE * (monotonic() - started))

    async def _import(self) -> None:
        """Bring the runs up to date. What fails is logged: the spans are on disk, and the next import reads them."""
        self._changed.clear()
        try:
            report = await import_spans(self._workspace)
        except (AcodeError, OSError) as error:
            log.warning("receive.not_imported", reason=str(error))
            return
        except Exception as defect:  # logged: nothing ends the imports that follow
            log.error("receive.defect", reason=type(defect).__name__, exc_info=defect)
            return
        for issue in report.errors:
            log.warning("receive.not_imported", reason=issue.message)
        if report.written:
            log.info("receive.imported", sessions=len(report.touched), rows=report.written)

    async def _prune(self) -> None:
        try:
            sessions = await asyncio.to_thread(self._store.prune, int(self._workspace.wall().timestamp()))
        except AcodeError as error:
            log.warning("receive.not_pruned", reason=error.message)
            return
        if sessions:
            log.info("receive.pruned", sessions=sessions)


def _check(request: Request) -> None:
    if request.path not in SIGNALS:
        raise RefusedError(HTTPStatus.NOT_FOUND, f"send to {', '.join(SIGNALS)}")
    if request.method != "POST":
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "send with POST")
    if request.media not in (JSON, PROTOBUF):
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send {PROTOBUF} or {JSON}")


def _refusal(media: str, refused: RefusedError) -> Answer:
    media = media if media in (JSON, PROTOBUF) else JSON
    code = _GRPC_CODES.get(refused.status, _UNKNOWN)
    retry = RETRY_SECONDS if refused.retry else 0
    return Answer(refused.status, media, failure(media, code, str(refused)), retry)
