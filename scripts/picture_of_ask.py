"""A run of `factory ask` as a picture for the README: what the command prints, in a terminal's colours.

    python3 scripts/picture_of_ask.py --out docs/ask.svg -- COMMAND...

The command is run as it is given. Needs rich 15.0.0 (pip install rich==15.0.0)."""
import argparse
import re
import shlex
import subprocess
from pathlib import Path

from rich.console import Console
from rich.text import Text


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True, type=Path)
    p.add_argument("--width", type=int, default=100)
    p.add_argument("command", nargs=argparse.REMAINDER)
    a = p.parse_args()
    command = [word for word in a.command if word != "--"]
    ran = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    console = Console(record=True, width=a.width, force_terminal=True, file=open("/dev/null", "w"))
    shown = shlex.join(["factory", *command[1:]])
    console.print(Text("$ " + shown, style="bold"), soft_wrap=False)
    console.print(Text(ran.stdout.rstrip()))
    svg = console.export_svg(title="factory ask")
    # Its own fonts would be fetched from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S).replace("Fira Code, monospace", "monospace")
    a.out.write_text(svg)


if __name__ == "__main__":
    main()
