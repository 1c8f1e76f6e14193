"""The `teehee` command: one file per command, heavy imports only inside the one that runs."""

import sys


def main() -> None:
    """Runs the command line; errors we can explain end as two sentences and a class's exit code."""
    from teehee.cli.app import build
    from teehee.errors import TeeheeError

    try:
        build()(standalone_mode=True)
    except TeeheeError as error:
        if "--debug" in sys.argv:
            raise
        sys.stderr.write(f"teehee: {error}\n")
        if error.hint:
            sys.stderr.write(f"  what to do: {error.hint}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
