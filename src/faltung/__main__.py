"""``python -m faltung`` is the command ``faltung``."""

from faltung.cli import main

if __name__ == "__main__":
    main()
