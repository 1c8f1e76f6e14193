"""The options commands share; each names its environment variable and its default in the help."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Any


def _option(name: str, *flags: str, text: str, default: str, metavar: str) -> Any:
    return typer.Option(
        *flags, help=f"{text} [env: TEEHEE_{name.upper()}; default: {default}]", show_default=False, metavar=metavar
    )


Characters = Annotated[
    list[str] | None, typer.Argument(metavar="CHARACTER", help="Character files or names of built-in characters.")
]
Data = Annotated[
    Path | None,
    _option(
        "data", "--data", text="Folder for everything the agents keep", default="~/.local/share/teehee", metavar="DIR"
    ),
]
Host = Annotated[
    str | None,
    _option("host", "--host", text="Address the web page listens on", default="127.0.0.1", metavar="ADDRESS"),
]
Port = Annotated[
    int | None,
    _option("port", "--port", text="Port of the web page", default="7337, or any free one", metavar="PORT"),
]
ModelUrl = Annotated[
    str | None,
    _option(
        "model_url",
        "--model-url",
        text="OpenAI-shaped endpoint to think with",
        default="an Ollama on this machine, else the classic brain",
        metavar="URL",
    ),
]
Model = Annotated[
    str | None, _option("model", "--model", text="Model name to ask the endpoint for", default="none", metavar="NAME")
]
ModelProvider = Annotated[
    str | None,
    _option(
        "model_provider",
        "--model-provider",
        text="Whose model: openai, anthropic, ollama, groq …, or classic",
        default="the character's",
        metavar="NAME",
    ),
]
LogLevel = Annotated[
    str | None,
    _option("log_level", "--log-level", text="debug, info, warning or error", default="info", metavar="LEVEL"),
]
PluginPath = Annotated[
    str | None,
    _option(
        "plugin_path", "--plugin-path", text="A further folder to look for plugins in", default="none", metavar="DIR"
    ),
]
Isolate = Annotated[
    bool | None,
    _option("isolate", "--isolate", text="Give each agent a mind of its own", default="one for all", metavar=""),
]
NoReload = Annotated[
    bool | None,
    _option(
        "reload",
        "--no-reload",
        text="Leave changed characters and knowledge for the next start",
        default="taken in",
        metavar="",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts. [default: words for people]")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error. [default: the sentence only]")]
AgentName = Annotated[
    str, typer.Option("--agent", metavar="NAME", help="Which agent, when several run. [default: the only one]")
]


def given(**options: Json) -> dict[str, Json]:
    """The options that were written on the command line."""
    return {name: value for name, value in options.items() if value is not None}


def print_json(value: Json) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))
