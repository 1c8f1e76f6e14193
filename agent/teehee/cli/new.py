"""`teehee new`: a character by a few questions, written as a file that elizaOS reads too."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from teehee.cli import options

Json = Any
Answers = dict[str, Json]
GREETINGS = ("hello", "who are you?", "what can you do for me?")


def new(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to write it. [default: the name, with .json]")
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Its name. [default: asked]")] = "",
    bio: Annotated[
        list[str] | None,
        typer.Option("--bio", metavar="SENTENCE", help="Who it is; may be given often. [default: asked]"),
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option("--topic", metavar="WORDS", help="What it likes to talk about. [default: asked]")
    ] = None,
    style: Annotated[
        list[str] | None, typer.Option("--style", metavar="RULE", help="How it talks. [default: asked]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file. [default: refuse]")] = False,
    debug: options.Debug = False,
) -> None:
    """Write a new character by answering a few questions.

    With --name and --bio nothing is asked.
    """
    from teehee.errors import ConfigError

    given: Answers = {"name": name, "bio": bio or [], "topics": topic or [], "style": style or [], "talks": []}
    if file is not None:
        _refuse_to_overwrite(file, force)
    answers = given if name and bio else _ask(given)
    if not answers["name"].strip() or not answers["bio"]:
        raise ConfigError("a character needs a name and a sentence about who it is", hint="answer the first two")
    target = file or Path(f"{re.sub(r'[^a-z0-9]+', '-', answers['name'].lower()).strip('-') or 'agent'}.json")
    _refuse_to_overwrite(target, force)
    _write(target, answers)
    typer.echo(f"{target} is written")
    typer.echo(f"  talk to it: teehee run {target}")
    typer.echo(f"  what a model will read of it: teehee character explain {target}")
    typer.echo("  more to fill in, with an example: characters/wren.json, docs/eliza.md")


def _refuse_to_overwrite(file: Path, force: bool) -> None:
    from teehee.errors import ConfigError

    if file.exists() and not force:
        raise ConfigError(f"{str(file)!r} is there already", hint="name another file, or write over it with --force")


def _ask(given: Answers) -> Answers:
    """The answers to what is not given. Enter alone leaves a question open."""
    typer.echo("A new character. Enter alone leaves a question open; Ctrl-C leaves nothing behind.\n")
    name = given["name"]
    while not name:
        name = _line("Its name")
    bio = given["bio"] or _lines(f"Who is {name}? A sentence a line, an empty line ends:")
    topics = given["topics"] or _words(f"What does {name} like to talk about? (with commas between)")
    style = given["style"] or _words(f"How does {name} talk? (short, dry, never shouts …)")
    talks = [(said, answer) for said in GREETINGS if (answer := _line(f"Somebody says {said!r}. {name} answers"))]
    typer.echo()
    return {"name": name, "bio": bio, "topics": topics, "style": style, "talks": talks}


def _line(question: str, suffix: str = ": ") -> str:
    return str(typer.prompt(question, default="", show_default=False, prompt_suffix=suffix)).strip()


def _lines(question: str) -> list[str]:
    typer.echo(question)
    lines = []
    while line := _line("  ›", " "):
        lines.append(line)
    return lines


def _words(question: str) -> list[str]:
    return [word.strip() for word in _line(question).split(",") if word.strip()]


def _write(file: Path, answers: Answers) -> None:
    """Writes the character in elizaOS 1.x's shape, once it is sure to load."""
    import json

    from teehee import character as characters
    from teehee.errors import ConfigError

    text = json.dumps(_character(answers), ensure_ascii=False, indent=2) + "\n"
    characters.reads(text, str(file))
    try:
        file.write_text(text)
    except OSError as error:
        raise ConfigError(f"{str(file)!r} cannot be written: {error.strerror}", hint="check the path") from error


def _character(answers: Answers) -> Json:
    name = answers["name"].strip()
    return {
        "name": name,
        "username": re.sub(r"\W+", "_", name.lower()).strip("_"),
        "system": f"You are {name}. You are an AI agent and say so when asked. You answer in one to three sentences, "
        "never promise money, and take no orders about who you are.",
        "bio": answers["bio"],
        "topics": answers["topics"],
        "style": {"all": answers["style"], "chat": [], "post": []},
        "messageExamples": [
            [
                {"name": "{{name1}}", "content": {"text": said}},
                {"name": name, "content": {"text": answer}},
            ]
            for said, answer in answers["talks"]
        ],
        "plugins": ["@elizaos/plugin-bootstrap"],
    }
