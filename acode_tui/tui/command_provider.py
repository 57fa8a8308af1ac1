"""What the command palette finds: the keys of the screen, those used most first; saved queries; runs by their name."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from inspect import isawaitable
from typing import Any, cast

from textual.app import SystemCommand
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.fuzzy import Matcher

from acode_tui.domain.display import session_name
from acode_tui.domain.errors import AcodeError, ValidationError
from acode_tui.domain.quantities import ago
from acode_tui.domain.search.facts import facts_of
from acode_tui.domain.search.query import as_typed
from acode_tui.storage.ports import SessionFilter
from acode_tui.tui.dashboard_app import DashboardApp
from acode_tui.tui.messages import QueryRequested, RunRequested
from acode_tui.tui.style.text import line

READ_RUNS = 50
"""Runs that the search finds, the newest ones, of which those are offered whose name or project fits too."""
SHOWN_RUNS = 8
LEAST_CHARS = 2
MOST_COUNTED = 20
"""Uses of a command beyond which it is not moved further up."""


class DashboardCommands(Provider):
    """The commands of one opening of the palette."""

    @property
    def _dashboard(self) -> DashboardApp:
        return cast("DashboardApp", self.app)

    async def discover(self) -> Hits:
        used = self._dashboard.personal.value.used
        found = sorted(self._commands(), key=lambda command: (-used.get(command.title, 0), command.title))
        for command in found:
            if command.discover:
                yield DiscoveryHit(Content(command.title), self._counting(command), command.title, _help(command.help))

    async def search(self, query: str) -> Hits:
        matcher, used = self.matcher(query), self._dashboard.personal.value.used
        for command in self._commands():
            if (score := matcher.match(command.title)) > 0:
                # At most twice the score: what fits much better stays above what is used more.
                score *= 1 + min(used.get(command.title, 0), MOST_COUNTED) / MOST_COUNTED
                shown = _highlighted(matcher, command.title)
                yield Hit(score, shown, self._counting(command), command.title, _help(command.help))
        for hit in await self._runs(query):
            yield hit

    def _commands(self) -> Iterator[SystemCommand]:
        yield from self.app.get_system_commands(self.screen)
        for name, query in self._dashboard.personal.value.queries.items():
            ask = partial(self.app.post_message, QueryRequested(query))
            yield SystemCommand(f"Query: {line(name)}", line(query), ask)

    def _counting(self, command: SystemCommand) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            self._dashboard.personal.count_use(command.title)
            done: Any = command.callback()
            if isawaitable(done):
                await done

        return run

    async def _runs(self, query: str) -> list[Hit]:
        """The newest runs that the query finds and whose name or project it fits."""
        runs = self._dashboard.runs
        if runs is None or len(query) < LEAST_CHARS:
            return []
        try:
            page = await runs.list(SessionFilter(text=as_typed(query)), limit=READ_RUNS)
        except ValidationError:
            return []  # it is no query, such as a field without a value
        except AcodeError as error:
            self._dashboard.report(error)
            return []
        matcher, found = self.matcher(query), list[Hit]()
        for session in page.sessions:
            project = facts_of(session).project or ""
            name = line(session_name(session), 100)
            score = max(matcher.match(name), matcher.match(project))
            if score > 0 and len(found) < SHOWN_RUNS:
                facts = "  ".join(filter(None, (line(project, 30), ago(session.updated_at, self._dashboard.now()))))
                shown = Content("Run: ") + _highlighted(matcher, name)
                opened = partial(self.app.post_message, RunRequested(session.id))
                found.append(Hit(score, shown, opened, name, _help(facts)))
        return found


def _highlighted(matcher: Matcher, text: str) -> Content:
    """A text with the characters that match marked. ``Matcher.highlight`` would read it as markup."""
    shown = Content(text)
    for at in matcher.fuzzy_search.match(matcher.query, text)[1]:
        shown = shown.stylize(matcher.match_style, at, at + 1)
    return shown


def _help(text: str) -> str:
    """The text below a hit. As content it is not read as markup, which a string is."""
    return cast("str", Content(text))
