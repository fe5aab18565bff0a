"""Writes command-line.md, the page of the command line, from the program's own help.

python docs/reference/command_line.py
"""

from pathlib import Path

from typer.testing import CliRunner

from delineate.cli import app

PAGE = Path(__file__).with_name("command-line.md")
WIDTH = 100
HEAD = """# Command line

One program, verbs in the order of the work. Paths are arguments, never variables. Results go to stdout,
progress and notes to stderr; `--json`, where a verb has it, gives the result to machines. Exit codes: 0 done,
1 one of our errors (a message without a traceback; `--debug` shows where it arose), 2 wrong usage. Options of
every verb (`-q`, `--debug`) may stand before it or after it.

This page is what `--help` prints.
"""


def page() -> str:
    """The whole page."""
    verbs = [command.name for command in app.registered_commands]
    return "\n".join([HEAD, _help(), *(f"## {verb}\n\n{_help(verb)}" for verb in verbs)])


def _help(*verb: str) -> str:
    arguments = [*verb, "--help"]
    printed = CliRunner().invoke(
        app, arguments, prog_name="delineate", terminal_width=WIDTH, max_content_width=WIDTH, color=False
    )
    return f"```text\n{printed.stdout.strip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
