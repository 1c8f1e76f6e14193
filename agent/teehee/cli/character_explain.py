"""`teehee character explain`: the character in force, where each value is from, and the prompt it yields."""

from pathlib import Path
from typing import Annotated, Any

import typer

from teehee.cli import options

Json = Any
CHARACTERS_A_TOKEN = 4  # a rule of thumb for English


def explain(
    file: Annotated[
        str, typer.Argument(metavar="CHARACTER", help="A character file or built-in name.", show_default=False)
    ],
    message: Annotated[
        str, typer.Option("--message", "-m", metavar="TEXT", help="The message to answer. [default: Hello!]")
    ] = "Hello!",
    room: Annotated[
        str, typer.Option("--room", metavar="TYPE", help="DM, GROUP, FEED or THREAD. [default: DM]")
    ] = "DM",
    whole: Annotated[
        bool, typer.Option("--prompt", help="Print the whole prompt. [default: its parts with sizes]")
    ] = False,
    plugin_path: options.PluginPath = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show the character in force, the origin of each value, and the prompt it yields."""
    import asyncio

    given = options.given(plugin_path=plugin_path)
    rows = asyncio.run(_explained(file, message, room.upper(), given))
    if as_json:
        options.print_json(rows if len(rows) > 1 else rows[0])
        return
    for row in rows:
        _print(row, whole=whole)


async def _explained(name: str, message: str, room: str, given: dict[str, Json]) -> list[Json]:
    import tempfile
    import time

    from teehee import registry
    from teehee.log import configure
    from teehee.mind.preview import preview
    from teehee.supervisor import plan as plans

    configure("explain", "error")
    told: list[str] = []
    with tempfile.TemporaryDirectory() as folder:  # knowledge is read anew: nothing of a running agent is touched
        plan = plans.with_knowledge(plans.make([name], {**given, "data": Path(folder)}), told.append)
    found = registry.installed(plan.run.settings.plugin_path)
    rows = []
    for agent in plan.agents:
        shown = await preview(agent.character, found, message, room, time.time_ns() // 1_000_000)
        rows.append(_row(agent, shown, told))
    return rows


def _row(agent: Any, shown: Any, told: list[str]) -> Json:
    from teehee.settings import OF_THE_RUN

    who, settings = agent.character, agent.effective
    return {
        "name": who.name,
        "id": who.id,
        "era": who.era,
        "fields": [
            {"field": field, "value": value, "from": agent.origins.get(field, "the file")}
            for field, value in _fields(who)
        ],
        "settings": [
            {"setting": name, "value": _setting(name, settings.settings), "from": origin}
            for name, origin in settings.origins.items()
            if origin != "default" and name not in OF_THE_RUN
        ],
        "secrets": [
            {"name": name, "from": agent.origins.get(name, "the file")}
            for name in sorted(name.split("/", 1)[1] for name in agent.secrets)
        ],
        "notes": [*agent.notes, *told, *shown.plugins_out],
        "template": shown.template,
        "unknown_keys": list(shown.unknown_keys),
        "parts": [
            {"provider": part.provider, "stable": part.stable, "characters": len(part.text), "text": part.text}
            for part in shown.parts
        ],
        "prompt": shown.chat,
        "characters": sum(len(message["content"]) for message in shown.chat),
    }


def _fields(who: Any) -> list[tuple[str, str]]:
    talks, known = who.message_examples, who.knowledge
    shown = {
        "id": who.id,
        "username": who.username,
        "system": who.system,
        "bio": _count(who.bio, "line") + (", told whole" if who.bio_is_whole else ""),
        "lore": _count(who.lore, "line"),
        "messageExamples": f"{_count(talks, 'conversation')}, {_count([x for talk in talks for x in talk], 'line')}"
        if talks
        else "",
        "postExamples": _count(who.post_examples, "post"),
        "topics": ", ".join(who.topics),
        "adjectives": ", ".join(who.adjectives),
        "style": ", ".join(f"{part} {len(getattr(who.style, part))}" for part in ("all", "chat", "post")),
        "knowledge": f"{_count(known, 'fragment')}, {sum(len(k.text) for k in known):,} characters" if known else "",
        "modelProvider": who.model_provider,
        "plugins": ", ".join(who.plugins),
        "clients": ", ".join(who.clients),
        "templates": ", ".join(who.templates),
        "settings": ", ".join(who.settings),
        "extras": ", ".join(key for key, value in who.extras.items() if value),
    }
    return [(name, value) for name, value in shown.items() if value]


def _count(items: Any, noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}" if items else ""


def _setting(name: str, settings: Any) -> str:
    from teehee.settings import shown

    return shown(name, getattr(settings, name))


def _print(row: Json, *, whole: bool) -> None:
    typer.echo(f"{row['name']} · {row['era']} · {row['id']}\n")
    for item in row["fields"]:
        value = item["value"] if len(item["value"]) <= 72 else item["value"][:71] + "…"
        typer.echo(f"  {item['field']:<16} {value:<74} {'' if item['from'] == 'the file' else item['from']}".rstrip())
    for item in row["settings"]:
        typer.echo(f"  {item['setting']:<16} {item['value']:<74} {item['from']}")
    for item in row["secrets"]:
        origin = "" if item["from"] == "the file" else item["from"]
        typer.echo(f"  {'secret':<16} {item['name'] + ' (its value goes to the vault)':<74} {origin}".rstrip())
    for note in row["notes"]:
        typer.echo(f"  · {note}")
    if row["unknown_keys"]:
        typer.echo(f"  · the template names keys nothing fills: {', '.join(row['unknown_keys'])}")
    total = row["characters"]
    typer.echo(
        f"\nprompt: {total:,} characters, about {total // CHARACTERS_A_TOKEN:,} tokens"
        + (" (by the character's own template)" if row["template"] else "")
    )
    for part in row["parts"]:
        kind = "stays" if part["stable"] else "each turn"
        typer.echo(f"  {part['provider']:<18} {part['characters']:>7,}  {kind}")
    told = sum(part["characters"] for part in row["parts"])
    typer.echo(f"  {'format and message':<18} {max(total - told, 0):>7,}")
    if whole:
        for message in row["prompt"]:
            typer.echo(f"\n--- {message['role']} ---\n{message['content']}")
