"""The `neural` command. Thin: each command reads options, calls one function, prints.

Nothing heavy is imported before a command needs it; tests/test_imports.py holds the
budget. Other packages add commands through the entry-point group
`neural_attn.commands`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

from neural_attn import __version__
from neural_attn.errors import Diagnostic, NeuralError, fail, printable

COMMANDS = "neural_attn.commands"
FILE = click.Path(path_type=Path)


class _Group(click.Group):
    """Our commands, then those that other packages add."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        added = [entry.name for entry in entry_points(group=COMMANDS)]
        return [*self.commands, *sorted(set(added) - set(self.commands))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        own = super().get_command(ctx, name)
        if own is not None:
            return own
        for entry in entry_points(group=COMMANDS, name=name):
            command: click.Command = entry.load()
            return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from neural_attn.errors import did_you_mean

        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            hint = did_you_mean(args[0], self.list_commands(ctx))
            known = ", ".join(self.list_commands(ctx))
            ctx.fail(f"there is no command `{args[0]}`; {hint or 'there are ' + known}")
        return super().resolve_command(ctx, args)


def _examples(*lines: str) -> Callable[[Any], Any]:
    """Add examples to a command's help, as they are typed."""
    text = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)

    def add(function: Any) -> Any:
        function.__doc__ = f"{function.__doc__}\n\n{text}"
        return function

    return add


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="neural")
def cli() -> None:
    r"""Write a network once as a .neural file; see where it attends.

    \b
    Examples:
      neural check model.neural
      neural visualize model.neural --attention
      neural compile model.neural --backend pytorch -o model.py
    """


# --- check -----------------------------------------------------------------------


@cli.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@_examples("neural check model.neural", "neural check *.neural --json")
def check(files: Sequence[Path], as_json: bool) -> None:
    """Parse, resolve and infer shapes; show all problems at once."""
    from neural_attn.compile import check_file

    found: list[Diagnostic] = []
    lines: list[str] = []
    for file in files:
        try:
            networks, warnings = check_file(file)
        except NeuralError as error:
            found += error.diagnostics
            continue
        found += warnings
        for checked in networks:
            count = checked.root.parameter_count
            name = checked.network.name
            maps = len(checked.attentions)
            lines.append(
                f"{file}: {name}: ok, {count:,} parameters, {maps} attention "
                f"map{'' if maps == 1 else 's'}"
            )
    if as_json:
        click.echo(
            json.dumps([d.as_dict() for d in found], ensure_ascii=False, indent=1)
        )
    else:
        for line in lines:
            click.echo(printable(line))
        _say(found)
    errors = sum(d.is_error for d in found)
    if errors and not as_json:
        click.echo(f"{errors} error{'' if errors == 1 else 's'}", err=True)
    sys.exit(1 if errors else 0)


# --- compile ---------------------------------------------------------------------

_BACKEND = click.option(
    "-b",
    "--backend",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="numpy, pytorch (torch), tensorflow (tf, keras), or auto: "
    "tensorflow, else pytorch, else numpy, whichever is installed.",
)
_NETWORK = click.option(
    "--network", metavar="NAME", help="Which network, where the file holds several."
)


@cli.command("compile")
@click.argument("file", type=FILE)
@_BACKEND
@click.option("-o", "--output", type=FILE, help="Write here instead of printing.")
@_NETWORK
@_examples(
    "neural compile model.neural --backend pytorch -o model.py",
    "neural compile model.neural --backend tensorflow | less",
)
def compile_command(
    file: Path, backend: str, output: Path | None, network: str | None
) -> None:
    """Write the network as Python code that stands alone."""
    from neural_attn.compile import compile_with_warnings

    text, warnings, name = compile_with_warnings(file, backend, output, network)
    _say(warnings)
    if output is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"{output}: {name}, {text.count(chr(10))} lines")


# --- visualize -------------------------------------------------------------------


@cli.command()
@click.argument("file", type=FILE)
@click.option("--attention", is_flag=True, help="Run the network; draw its attention.")
@_BACKEND
@click.option(
    "-d", "--data", type=FILE, help="Input: .npy, or .npz for several inputs."
)
@click.option("-t", "--tokens", metavar="TEXT", help="Labels: The,cat,sat")
@click.option("--text", "--input", "text", metavar="TEXT", help="A text to run on.")
@click.option("--file", "texts_file", type=FILE, help="Texts to run on, one a line.")
@click.option("--tokenizer", type=FILE, help="tokenizer.json, if not beside the file.")
@click.option("--checkpoint", type=FILE, help="Weights: .safetensors, .pt or .pth.")
@click.option(
    "-l", "--layer", metavar="LAYER", help="A layer's name, prefix or index; -1: last."
)
@click.option("--head", type=int, help="One head; else the average, and all in a grid.")
@click.option(
    "--num-examples", type=click.IntRange(1), default=3, show_default=True,
    help="How many examples of the data to draw.",
)  # fmt: skip
@click.option(
    "-o", "--output-dir", type=FILE, default=Path("attention_outputs"),
    show_default=True, help="Where the files go.",
)  # fmt: skip
@click.option("--save-maps", type=FILE, help="Also write all maps, exactly, as .npz.")
@click.option(
    "-f", "--format", "formats", multiple=True,
    type=click.Choice(["png", "svg", "pdf", "html"]),
    help="Pictures: png (default), svg, pdf; architecture: svg (default), html.",
)  # fmt: skip
@click.option("--dpi", type=click.IntRange(20, 1200), default=150, show_default=True)
@click.option("--cmap", metavar="NAME", help="A Matplotlib colour map.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True,
    help="For random weights and samples.",
)  # fmt: skip
@click.option("--show", is_flag=True, help="Open the results when they are done.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@_NETWORK
@_examples(
    "neural visualize model.neural",
    "neural visualize model.neural --attention",
    'neural visualize model.neural --attention --tokens "The,cat,sat"',
    "neural visualize model.neural --attention --data ids.npy --layer -1 --head 2",
    'neural visualize bert.neural --attention --checkpoint w.safetensors --text "Hi"',
)
def visualize(file: Path, attention: bool, **options: Any) -> None:
    """Draw the architecture; with --attention, where the network attends."""
    if attention:
        _visualize_attention(file, options)
    else:
        _visualize_architecture(file, options)


def _visualize_attention(file: Path, options: dict[str, Any]) -> None:
    from neural_attn import session
    from neural_attn.visualize.report import build_report

    if "html" in options["formats"]:
        click.echo("note: the interactive page is html already", err=True)
    formats = tuple(f for f in options["formats"] if f != "html") or ("png",)
    with _progress() as step:
        outcome = session.visualize(
            session.Request(
                file=file,
                backend=options["backend"],
                network=options["network"],
                checkpoint=options["checkpoint"],
                data=_read_data(options["data"]),
                tokens=_tokens(options["tokens"]),
                texts=_texts(options["text"], options["texts_file"]),
                tokenizer=options["tokenizer"],
                layer=options["layer"],
                head=options["head"],
                output_dir=options["output_dir"],
                formats=formats,
                dpi=options["dpi"],
                cmap=options["cmap"],
                seed=options["seed"],
                examples=options["num_examples"],
                save_maps=options["save_maps"],
            ),
            step,
        )
    _say(outcome.warnings)
    for note in outcome.notes:
        click.echo(f"note: {printable(note)}", err=True)
    report = build_report(outcome.maps.select(options["layer"]))
    if as_json := options["as_json"]:
        files = {name: str(path) for name, path in outcome.files.items()}
        click.echo(json.dumps({**report.to_dict(), "files": files}, ensure_ascii=False))
    else:
        report.print()
        click.echo("Output files:")
        for path in outcome.files.values():
            click.echo(f"  - {printable(str(path))}")
    if options["show"] and not as_json:
        for path in outcome.files.values():
            if path.suffix in (".html", ".png"):
                click.launch(str(path))


def _read_data(path: Path | None) -> Any:
    from neural_attn.data import read_data

    return None if path is None else read_data(path)


def _tokens(text: str | None) -> list[str] | None:
    return None if text is None else [token.strip() for token in text.split(",")]


def _texts(text: str | None, file: Path | None) -> list[str]:
    if file is None:
        return [] if text is None else [text]
    if text is not None:
        fail("E0414", "both --text and --file are given", hint="give one of them")
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except OSError as error:
        fail("E0403", f"cannot read {file}: {(error.strerror or '').lower()}")
    except UnicodeDecodeError:
        fail("E0103", f"{file} is not UTF-8 text")
    texts = [line for line in lines if line.strip()]
    if not texts:
        fail("E0408", f"{file} holds no text")
    return texts


def _visualize_architecture(file: Path, options: dict[str, Any]) -> None:
    from neural_attn.compile import check_file, choose
    from neural_attn.files import atomic_write, safe_name
    from neural_attn.visualize import architecture

    networks, warnings = check_file(file)
    _say(warnings)
    checked = choose(networks, options["network"])
    wrong = {"png", "pdf"} & set(options["formats"])
    if wrong:
        fail(
            "E0417",
            f"the architecture is svg or html, not {' or '.join(sorted(wrong))}",
            hint="give --attention to draw the attention",
        )
    click.echo(architecture.architecture_text(checked))
    folder: Path = options["output_dir"]
    stem = f"architecture_{safe_name(checked.network.name)}"
    writers = {
        "svg": architecture.draw_architecture,
        "html": architecture.architecture_html,
    }
    click.echo("Output files:")
    for kind in options["formats"] or ("svg",):
        path = atomic_write(folder / f"{stem}.{kind}", writers[kind](checked))
        click.echo(f"  - {printable(str(path))}")


# --- import ----------------------------------------------------------------------


@cli.command("import")
@click.argument("folder", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The .neural file.")
@click.option("--weights", type=FILE, help="The weights; else beside the .neural file.")
@click.option("--name", help="What the network is called.")
@_examples("neural import ./all-MiniLM-L6-v2 -o minilm.neural")
def import_command(
    folder: Path, output: Path, weights: Path | None, name: str | None
) -> None:
    """Turn a pretrained Hugging Face folder into a .neural file and weights."""
    from neural_attn.importers import import_model

    imported = import_model(folder, output, weights, name)
    for note in imported.notes:
        click.echo(f"note: {printable(note)}", err=True)
    for path in (imported.neural_path, imported.weights_path, imported.tokenizer_path):
        if path is not None:
            click.echo(printable(str(path)))


# --- layers ----------------------------------------------------------------------


@cli.command()
@click.argument("name", required=False)
@_examples("neural layers", "neural layers TransformerEncoder")
def layers(name: str | None) -> None:
    """List the layers and blocks; with NAME, its parameters."""
    from neural_attn.catalogue import describe, listing

    click.echo(listing() if name is None else describe(name))


# --- around every command --------------------------------------------------------


def _say(diagnostics: Sequence[Diagnostic]) -> None:
    for diagnostic in diagnostics:
        click.echo(diagnostic.render(), err=True)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Say on a terminal what is going on; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("starting") as status:
        yield lambda text: status.update(f"{text} …")


def main() -> None:
    """Run the command line; problems go to stderr, one exit code for each kind."""
    try:
        cli()
    except NeuralError as error:
        _say(error.diagnostics)
        sys.exit(1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {place}{error.strerror or error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
