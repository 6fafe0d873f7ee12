"""The one entry point: `python agent.py --help`."""

from agent.cli import main

if __name__ == "__main__":
    main()
