"""The program and its verbs. Nothing heavy is imported before a verb runs."""

from __future__ import annotations

import os
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperGroup

from crested_like import __version__
from crested_like._errors import CrestedLikeError, UnknownModelError
from crested_like.cli import _console as console
from crested_like.cli import (
    backends,
    build_dataset,
    convert_checkpoint,
    convert_dataset,
    demo,
    design,
    evaluate,
    explain,
    fetch,
    genes,
    models,
    plan,
    predict,
    report,
    score_variants,
    segment,
    show,
    train,
    verify,
)

_INTERRUPTED = 130  # what shells expect after Ctrl-C


class _Verbs(TyperGroup):
    """Prints errors that are meant for the user as one line; anything else is a fault of ours and keeps its trace."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            console.fail("Interrupted.")
            raise typer.Exit(_INTERRUPTED) from None
        except BrokenPipeError:  # the reader of our output, such as head, has seen enough
            raise
        except (CrestedLikeError, ValueError, OSError) as error:
            if ctx.params.get("verbose"):
                console.traceback()
            console.fail(_message(error))
            raise typer.Exit(1) from None


def _message(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return f"{text} So does: crested-like models" if isinstance(error, UnknownModelError) else text


app = typer.Typer(
    name="crested-like",
    cls=_Verbs,
    help="From DNA to coverage, with published networks as plain Keras models.",
    epilog="Start with: [bold]crested-like demo[/bold]",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crested-like {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more while working, and show the trace of an error.")
    ] = False,
    version: Annotated[
        Optional[bool],  # noqa: UP045 - read by typer at run time
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = None,
) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes
    console.set_up_logging(verbose=verbose)


app.command("predict", no_args_is_help=False, epilog=predict.EXAMPLES)(predict.predict)
app.command("plan", epilog=plan.EXAMPLES)(plan.plan)
app.command("score-variants", epilog=score_variants.EXAMPLES)(score_variants.score_variants)
app.command("genes", epilog=genes.EXAMPLES)(genes.genes)
app.command("explain", epilog=explain.EXAMPLES)(explain.explain)
app.command("design", epilog=design.EXAMPLES)(design.design)
app.command("segment", epilog=segment.EXAMPLES)(segment.segment)
app.command("report", epilog=report.EXAMPLES)(report.report)
app.command("demo", epilog=demo.EXAMPLES)(demo.demo)
app.command("models", epilog=models.EXAMPLES)(models.models)
app.command("show", epilog=show.EXAMPLES)(show.show)
app.command("fetch", epilog=fetch.EXAMPLES)(fetch.fetch)
app.command("convert-checkpoint", epilog=convert_checkpoint.EXAMPLES)(convert_checkpoint.convert_checkpoint)
app.command("convert-dataset", epilog=convert_dataset.EXAMPLES)(convert_dataset.convert_dataset)
app.command("build-dataset", epilog=build_dataset.EXAMPLES)(build_dataset.build_dataset)
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("verify", epilog=verify.EXAMPLES)(verify.verify)
app.command("backends", epilog=backends.EXAMPLES)(backends.backends)
