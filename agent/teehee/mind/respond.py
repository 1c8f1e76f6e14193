"""Reads Eliza's response format: one <response> block, its direct children as strings."""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from teehee.errors import AskAgain

Json = Any
ANSWER_LIMIT = 200_000  # characters looked at
NAMES_LIMIT = 8
TAGS = ("thought", "actions", "providers", "parameters", "text")
NAME_SHAPE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Decision:
    """What the model decided: words, actions in order, providers it wants to consult, arguments by action."""

    text: str = ""
    actions: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    parameters: Mapping[str, Json] = field(default_factory=dict)
    thought: str = ""


def parse(answer: str) -> Decision:
    """The decision in `answer`; text around the block is ignored. Raises AskAgain, saying what is missing.

    The answer 0.x asks for, a fenced JSON object of user, text and action, counts too: templates of that era say so.
    """
    block = _between(answer[:ANSWER_LIMIT], "response")
    if block is None:
        if (decision := _from_json(answer[:ANSWER_LIMIT])) is not None:
            return decision
        raise AskAgain("there was no <response>…</response> block in it")
    found = {tag: (_between(block, tag) or "").strip() for tag in TAGS}
    actions = _names(found["actions"])
    if not actions and not found["text"]:
        raise AskAgain("both <actions> and <text> were missing or empty")
    return Decision(
        text=html.unescape(found["text"]),
        actions=actions or ("REPLY",),
        providers=_names(found["providers"]),
        parameters=_parameters(found["parameters"]),
        thought=found["thought"],
    )


def _from_json(answer: str) -> Decision | None:
    """The decision in a fenced JSON object, or in an answer that is one; None when there is none."""
    parts = answer.split("```", 2)
    told = (parts[1] if len(parts) == 3 else answer).strip().removeprefix("json").strip()
    try:
        value = json.loads(told) if told.startswith("{") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(text := value.get("text", ""), str):
        return None
    named = value.get("actions") or [value.get("action")]
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    actions = _names(",".join(names))
    return Decision(text=text.strip(), actions=actions or ("REPLY",)) if text.strip() or actions else None


def write(text: str, actions: tuple[str, ...], parameters: Mapping[str, Json] | None = None) -> str:
    """A response block, for brains that do not write it themselves."""
    given = html.escape(json.dumps(parameters, ensure_ascii=False), quote=False) if parameters else ""
    block = f"<actions>{','.join(actions)}</actions>" + (f"<parameters>{given}</parameters>" if given else "")
    return f"<response>{block}<text>{html.escape(text, quote=False)}</text></response>"


def _between(text: str, tag: str) -> str | None:
    start = text.find(f"<{tag}>")
    if start < 0:
        return None
    start += len(tag) + 2
    end = text.rfind(f"</{tag}>") if tag in ("response", "text") else text.find(f"</{tag}>", start)
    return text[start:end] if end >= start else None


def _names(text: str) -> tuple[str, ...]:
    names = [name.strip().upper() for name in text.split(",")]
    return tuple(dict.fromkeys(name for name in names if NAME_SHAPE.fullmatch(name)))[:NAMES_LIMIT]


def _parameters(text: str) -> Mapping[str, Json]:
    if not text:
        return {}
    try:
        value = json.loads(html.unescape(text))
    except (ValueError, RecursionError):
        raise AskAgain("<parameters> must hold a JSON object or nothing") from None
    if not isinstance(value, dict):
        raise AskAgain("<parameters> must hold a JSON object or nothing")
    return {str(name).upper(): item for name, item in value.items()}
