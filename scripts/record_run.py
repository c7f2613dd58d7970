"""Record what a command prints as a picture of a terminal, such as docs/ask.svg.

    pip install rich==15.0.0
    python3 scripts/record_run.py --out docs/ask.svg -- target/release/factory ask --db shop.sqlite --lora adapter "Which buyers came back?"

stdout and stderr stand in the picture as they came; the program is called by its name alone. Fonts are the viewer's own.
"""
import argparse
import re
import shlex
import subprocess
from pathlib import Path

from rich.console import Console
from rich.text import Text


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--width", type=int, default=100)
    p.add_argument("--as", dest="shown", help="the command line that the picture shows, where paths are of no interest")
    p.add_argument("command", nargs="+")
    a = p.parse_args()
    run = subprocess.run(a.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    shown = a.shown or shlex.join([Path(a.command[0]).name, *a.command[1:]])
    console = Console(record=True, width=a.width, file=open("/dev/null", "w"))
    console.print(Text("$ " + shown, style="bold"))
    console.print(Text.from_ansi(run.stdout.rstrip()))
    svg = console.export_svg(title=Path(a.command[0]).name)
    # No font is loaded from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)
    a.out.write_text(svg)


main()
