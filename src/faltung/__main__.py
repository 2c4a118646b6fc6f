"""``python -m faltung`` is the command ``faltung``."""

import sys


def main() -> None:
    """Run the command; an interrupt while it still loads is no traceback either."""
    try:
        from faltung.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
