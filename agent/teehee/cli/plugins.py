"""`teehee plugins`: what is installed, by its metadata; nothing is imported."""

import typer

from teehee.cli import options


def plugins(
    plugin_path: options.PluginPath = None, as_json: options.AsJson = False, debug: options.Debug = False
) -> None:
    """List the plugins a character can name."""
    from teehee import registry
    from teehee.settings import resolve

    path = resolve(options.given(plugin_path=plugin_path)).settings.plugin_path
    found = sorted(registry.installed(path).values(), key=lambda p: p.name)
    if as_json:
        options.print_json([{"name": p.name, "distribution": p.distribution, "version": p.version} for p in found])
        return
    for plugin in found:
        always = "  (always on)" if plugin.name in registry.ALWAYS else ""
        typer.echo(f"{plugin.name:<20} {plugin.distribution} {plugin.version}{always}")
