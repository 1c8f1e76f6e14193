"""What an agent may spend on models, from its settings: the caps the gate keeps, and a note where no price is known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from teehee import prices
from teehee.settings import Effective
from teehee.supervisor import brains
from teehee.supervisor.brains import Choice
from teehee.wire.boot import Cap, EgressRule, Price, Purse


def rules(agent: str, slug: str, choice: Choice, effective: Effective) -> Sequence[EgressRule]:
    """The ways out to the agent's models, on its account."""
    known = _prices(choice, effective, slug)
    found = brains.rules(slug, choice, effective.settings)
    most = effective.settings.max_tokens
    return [replace(rule, agent=agent, prices=(known[rule.name],), max_tokens=most) for rule in found]


def purse(agent: str, name: str, choice: Choice, effective: Effective) -> Purse:
    """The agent's caps. Those on tokens count by default only where money cannot be counted."""
    known = all(price.known for price in _prices(choice, effective).values())
    settings = effective.settings

    def cap(span: str) -> Cap:
        tokens = f"model_tokens_per_{span}"
        counts = not known or effective.origins[tokens] != "default"
        return Cap(getattr(settings, tokens) if counts else 0, getattr(settings, f"model_cents_per_{span}"))

    return Purse(agent, name, cap("day"), cap("user"), cap("room"))


def notes(choice: Choice, effective: Effective) -> Sequence[str]:
    """A sentence for each model whose price nobody knows."""
    cap = effective.settings.model_tokens_per_day
    return [
        f"nobody knows here what {price.model or 'this model'!r} costs: only its tokens are counted, "
        f"{f'{cap:,} a day at most' if cap else 'without a cap'} (MODEL_PRICE=2.50/10 says dollars per million tokens)"
        for price in _prices(choice, effective).values()
        if not price.known
    ]


def _prices(choice: Choice, effective: Effective, slug: str = "") -> Mapping[str, Price]:
    """By the rule's name. The operator's own price is the first model's; others have the list's."""
    own = effective.settings.model_price
    return {
        way.rule: prices.price(way.model.url, way.model.name, own if way.model == choice.models[0] else "")
        for way in brains.ways(slug, choice)
    }
