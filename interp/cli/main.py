"""The `interp` command: registers the commands and turns our errors into one clear message.

Importing this module must stay cheap: `interp --help` answers before torch could be imported,
so every command imports what it needs inside its body.
"""

from __future__ import annotations

import importlib
import os
import sys

import typer

# Idle OpenMP threads of torch spin by default. Where other programs want the cores, or a container
# has fewer than it sees, that makes a recording 70 times slower; sleeping costs microseconds.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    name="interp",
    help="See what the inside of a trained sequence model does: record hidden states, cell "
    "states, gates and attention maps, look at them, and test what units stand for.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


#: Command name to module and function, in the order of the help.
COMMANDS = {
    "demo": ("interp.cli.demo", "demo"),
    "record": ("interp.cli.record", "record"),
    "sites": ("interp.cli.sites", "sites"),
    "info": ("interp.cli.info", "info"),
    "annotate": ("interp.cli.annotate", "annotate"),
    "rank": ("interp.cli.rank", "rank"),
    "probe": ("interp.cli.probe", "probe"),
    "ablate": ("interp.cli.ablate", "ablate"),
    "heads": ("interp.cli.heads", "heads"),
    "dynamics": ("interp.cli.dynamics", "app"),
    "export": ("interp.cli.export", "export"),
    "view": ("interp.cli.view", "view"),
    "train": ("interp.cli.train", "train"),
    "sample": ("interp.cli.sample", "sample"),
}

for _name, (_module, _function) in COMMANDS.items():
    _command = getattr(importlib.import_module(_module), _function)
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name)
    else:
        app.command(_name)(_command)


def main() -> None:
    """Run the command line; exit 0 on success, 2 for a user's mistake, 130 after Ctrl-C."""
    from interp.errors import InterpError

    try:
        app()
    except InterpError as error:
        print(f"interp: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interp: stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
