"""The vault's launcher: isolated, no site, two import roots set by hand.

Started as `python -I -S __main__.py SOURCE_ROOT LIBRARY_ROOT`: no .pth file runs, no environment variable steers
an import, and nothing but these two folders and the standard library can be imported.
"""

import sys


def launch() -> None:
    sys.path[:0] = [sys.argv[1], sys.argv[2]]
    from teehee.vault.server import serve
    from teehee.wire import boot, child

    child.run(boot.VaultBoot, serve)


if __name__ == "__main__":
    launch()
