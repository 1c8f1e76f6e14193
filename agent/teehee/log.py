"""Logs of gate, mind and supervisor: one JSON line per event on standard error, secrets blotted out."""

import contextlib
import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any


@contextlib.contextmanager
def _not_found(name: str) -> Iterator[None]:
    """While this holds, a package that is not loaded yet cannot be: whoever asks for it does without."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # what importlib's reference says of a name to be refused
    try:
        yield
    finally:
        del sys.modules[name]


with _not_found("rich"):  # structlog would load it for coloured tracebacks: a fifth of a process's imports, never used
    import structlog

SECRET_NAMES = re.compile(r"(token|secret|password|authorization|api_?key|private_?key|mnemonic|cookie)", re.IGNORECASE)
SECRET_SHAPES = re.compile(
    r"sk-[A-Za-z0-9_-]{8,}|(?<!\d)\d{6,12}:[A-Za-z0-9_-]{30,}|-----BEGIN [A-Z ]*PRIVATE KEY-----.*|(?<=Bearer )\S+",
    re.DOTALL,
)
BLOT = "[redacted]"


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blots out values under secret-looking names and secret-looking values under any name."""
    for name, value in event.items():
        event[name] = BLOT if SECRET_NAMES.search(name) else _blotted(value)
    return event


def _blotted(value: Any) -> Any:
    if isinstance(value, str):
        return SECRET_SHAPES.sub(BLOT, value)
    if isinstance(value, dict):
        return {name: BLOT if SECRET_NAMES.search(str(name)) else _blotted(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_blotted(item) for item in value]
    return value


def configure(process: str, level: str = "info") -> None:
    """Sets up logging for this process; called once, by its entry point."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)

    def stamp(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    chain: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        stamp,
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*chain, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        processor=structlog.processors.JSONRenderer(), foreign_pre_chain=chain
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def get_logger() -> Any:
    """A logger: `log.info("message_accepted", room=room)`."""
    return structlog.get_logger()
