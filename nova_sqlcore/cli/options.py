# SPDX-License-Identifier: Apache-2.0

"""What all commands that use a database take: its address, a configuration file, how to print, how much to log."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from nova_sqlcore import tx
from nova_sqlcore.cli import config
from nova_sqlcore.cli.output import Output
from nova_sqlcore.core import dialects
from nova_sqlcore.core.connections import parse_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Function = TypeVar("Function", bound="Callable[..., Any]")

_LEVELS: Final = ("debug", "info", "warning", "error")


@dataclasses.dataclass(slots=True)
class Setup:
    """What the common options of a command have come to."""

    url: str | None = None
    config: config.Config | None = None
    format: str | None = None
    verbosity: int = 0
    log_level: str | None = None

    @property
    def output(self) -> Output:
        """How the command prints."""
        return Output(self.format or "text", self.verbosity)

    @property
    def has_database(self) -> bool:
        """Tell whether an option or the configuration file names a database."""
        return bool(self.url or (self.config and self.config.url))

    @property
    def address(self) -> str:
        """The URL of the database: that of the option, or else that of the configuration file.

        Raises: click.UsageError without either.
        """
        found = self.url or (self.config.url if self.config else None)
        if not found:
            raise click.UsageError(
                "no database: give --url, NOVA_SQLCORE_URL, or --config with connection in its section [database]"
            )
        return found

    @contextlib.contextmanager
    def database(self) -> Iterator[None]:
        """Configure the main database, which must be there, and close it at the block's end."""
        tx.close()
        url = parse_url(self.address)
        dialects.family(url).require_file(url)
        if self.config is not None:
            self.config.apply(self.address)
        else:
            tx.configure(self.address)
        try:
            yield
        finally:
            tx.close()

    def start_logging(self) -> None:
        """Write the library's log to standard error, from the level that was asked for."""
        steps = {0: "warning", 1: "warning", 2: "info", 3: "debug"}
        level = self.log_level or ("error" if self.verbosity < 0 else steps[min(self.verbosity, 3)])
        handler = logging.StreamHandler()
        handler.addFilter(_EachWarningOnce())
        form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
        logging.basicConfig(handlers=[handler], format=form, level=level.upper())


class _EachWarningOnce(logging.Filter):
    """Keeps a warning that every round of long work repeats from filling the screen."""

    def __init__(self) -> None:
        super().__init__()
        self._told: collections.deque[str] = collections.deque(maxlen=1000)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is new, or no warning."""
        if record.levelno != logging.WARNING:
            return True
        text = record.getMessage()
        is_new = text not in self._told
        self._told.append(text)
        return is_new


_setup = click.make_pass_decorator(Setup, ensure=True)


def _stores(name: str, read: Callable[[str], Any] = str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return what keeps an option's value, as ``read`` gives it, in the attribute ``name`` of the ``Setup``.

    The option may stand before the command and behind it. The latter goes first, and an environment variable last.
    """

    def store(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        setup = ctx.ensure_object(Setup)
        is_typed = ctx.get_parameter_source(str(param.name)) is click.core.ParameterSource.COMMANDLINE
        if value is not None and (is_typed or getattr(setup, name) is None):
            setattr(setup, name, read(value))

    return store


def _more(ctx: click.Context, param: click.Parameter, value: int) -> None:
    setup = ctx.ensure_object(Setup)
    setup.verbosity += value if param.name == "verbose" else -value


_OPTIONS: Final = (
    click.option(
        "--url",
        envvar="NOVA_SQLCORE_URL",
        show_envvar=True,
        metavar="URL",
        expose_value=False,
        callback=_stores("url"),
        help="The database, like mysql+pymysql://nova:secret@host/nova. Other users of the machine can read what "
        "stands in a command line: a password is better off in the environment variable or in a file.",
    ),
    click.option(
        "--config",
        "--config-file",
        envvar="NOVA_SQLCORE_CONFIG",
        show_envvar=True,
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False),
        expose_value=False,
        callback=_stores("config", config.read),
        help="A nova.conf: the address and options of its [database], and the knobs of quotas and names.",
    ),
    click.option(
        "--format",
        envvar="NOVA_SQLCORE_FORMAT",
        type=click.Choice(["text", "json"]),
        expose_value=False,
        callback=_stores("format"),
        help="How to print results: for people, or one JSON document.",
    ),
    click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_more,
        help="Say more; twice: log too; three times: log all.",
    ),
    click.option("-q", "--quiet", count=True, expose_value=False, callback=_more, help="Say nothing but errors."),
    click.option(
        "--log-level",
        envvar="NOVA_SQLCORE_LOG_LEVEL",
        type=click.Choice(_LEVELS),
        expose_value=False,
        callback=_stores("log_level"),
        help="Log to standard error from this level on.",
    ),
)


def global_options(function: Function) -> Function:
    """Let the common options stand before the command too."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the common options; its function gets them as a ``Setup``, its first argument."""

    def run(setup: Setup, *args: Any, **kwargs: Any) -> Any:
        setup.start_logging()
        return function(setup, *args, **kwargs)

    decorated: Callable[..., Any] = _setup(run)
    decorated.__doc__, decorated.__name__ = function.__doc__, function.__name__
    decorated.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]  # where click.option leaves them
    return global_options(decorated)
