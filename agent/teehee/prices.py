"""What models cost: the operator's own word, else the dated price list, else nothing that anybody knows."""

import ipaddress
import json
import re
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from teehee.wire.boot import Price

Json = Any
MICROS = 1_000_000
SNAPSHOT = re.compile(r"-(latest|\d{4}-\d{2}-\d{2}|\d{8})$")  # how providers name a dated version of a model
SHAPE = "dollars per million tokens as PROMPT/COMPLETION, such as 2.50/10"


def price(url: str, model: str, own: str = "") -> Price:
    """The price of `model` at the endpoint `url`. `own`, an operator's word, wins; this machine and network are free.

    Raises ValueError when `own` cannot be read.
    """
    if own:
        prompt, completion = read(own)
        return Price(model, prompt, completion, prompt, prompt)
    host = (urlsplit(url).hostname or "").lower()
    if is_near(host):
        return Price(model)
    models = _listed().get(host, {})
    found = models.get(model) or models.get(SNAPSHOT.sub("", model))
    if found is None:
        return Price(model, known=False)
    prompt = found["prompt"]
    return Price(model, prompt, found["completion"], found.get("cached", prompt), found.get("written", prompt))


def read(own: str) -> tuple[int, int]:
    """An operator's price in micro-dollars. Raises ValueError naming the shape."""
    try:
        prompt, completion = (int(Decimal(part.strip()) * MICROS) for part in own.split("/"))
    except (ValueError, InvalidOperation, OverflowError):
        raise ValueError(f"got {own!r}, expected {SHAPE}") from None
    if not (0 <= prompt <= 10**10 and 0 <= completion <= 10**10):
        raise ValueError(f"got {own!r}, expected {SHAPE}, neither above 10000")
    return prompt, completion


def is_near(host: str) -> bool:
    """Is this host on this machine or its private network? Nobody charges for tokens there, unless told."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".localhost", ".lan"))


@cache
def _listed() -> dict[str, dict[str, Json]]:
    listed = json.loads(resources.files("teehee").joinpath("data", "prices.json").read_text())
    return {provider["host"]: provider["models"] for provider in listed["providers"]}
