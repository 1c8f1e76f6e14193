"""`teehee config`: the settings in force, where each comes from, secrets left out."""

import typer

from teehee.cli import options


def config(
    characters: options.Characters = None,
    data: options.Data = None,
    host: options.Host = None,
    port: options.Port = None,
    model_url: options.ModelUrl = None,
    model: options.Model = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show every setting, its value and where it comes from."""
    from teehee.settings import PREFIX, Settings, shown
    from teehee.supervisor import plan as plans

    given = options.given(data=data, host=host, port=port, model_url=model_url, model=model)
    plan = plans.make(characters or [], given)
    rows = []
    for agent in plan.agents:
        for name, field in Settings.model_fields.items():
            value = shown(name, getattr(agent.effective.settings, name))
            rows.append(
                {
                    "agent": agent.character.name,
                    "setting": name,
                    "value": value,
                    "from": agent.effective.origins[name],
                    "env": PREFIX + name.upper(),
                    "about": field.description,
                }
            )
    if as_json:
        options.print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['setting']:<20} {row['value']:<40} {row['from']:<28} {row['about']}")
