"""`python -m dropexp`."""

from dropexp.cli.main import main

if __name__ == "__main__":
    main()
