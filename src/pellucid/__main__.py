"""``python -m pellucid`` is the ``pellucid`` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback even while it starts."""
    try:
        from pellucid import cli

        cli.main()
    except KeyboardInterrupt:
        print("pellucid: interrupted.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
