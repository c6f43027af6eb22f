"""The command `posttrain-lab`: open the course, examine the machine, check answers, release and grade.

Every command is a few lines around a function that can be called from Python; heavy imports wait until they are needed.
"""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from posttrain_lab import __version__
from posttrain_lab.checks import UNITS
from posttrain_lab.cli.new_commands import new
from posttrain_lab.cli.unit_names import Unit, a_unit

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A hands-on course on what happens to a model after its training. Begin with: posttrain-lab start",
)
LEARN, TEACH, BUILD = "For learners", "For instructors", "For contributors"
app.add_typer(new, name="new", rich_help_panel=BUILD)
WORK = Path("my-course")
INTERRUPTED = 130
Folder = Annotated[Path, typer.Option(help="Your copy of the course; made by `start`.")]
Solutions = Annotated[
    Path | None, typer.Option(help="The units' sources, where the installation has none.", show_default=False, metavar="DIR")
]
Where = Annotated[
    Path | None, typer.Option(help="Your copy of the course: my-course, or the folder you are in.", show_default=False)
]


def main() -> None:
    """Run the command line. An error that a user can fix is one sentence, with exit code 1; Ctrl-C ends with 130."""
    try:
        app(standalone_mode=True)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # Typer makes this of a KeyboardInterrupt, and says nothing
            print("\nStopped. What was saved before is kept.", file=sys.stderr)
        raise
    except (ValueError, TypeError, OSError, RuntimeError, ImportError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)


def course_root() -> Path:
    """my-course if it exists here; else this folder if it has a unit, as in a terminal in JupyterLab; else the parent folder."""
    if WORK.is_dir():
        return WORK
    if any(Path(f"{unit}.ipynb").is_file() for unit in UNITS):  # in the folder of a unit
        return Path("..")
    return Path() if any(Path(unit, f"{unit}.ipynb").is_file() for unit in UNITS) else WORK


def _version(wanted: bool) -> None:
    if wanted:
        print(f"posttrain-lab {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", callback=_version)] = False,
) -> None:
    """A hands-on course on what happens to a model after its training. Begin with: posttrain-lab start"""


@app.command(rich_help_panel=LEARN)
def start(
    folder: Folder = WORK,
    port: Annotated[int | None, typer.Option(help="The port of JupyterLab; a free one is found when left out.")] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Open the course in JupyterLab. Your work stays in its folder; a new release brings new cells, and no line of yours is lost."""
    from posttrain_lab.cli.course import note_progress
    from posttrain_lab.cli.own_copy import copy_course, lacks_progress
    from posttrain_lab.cli.start import free_port_asked_for, run_lab

    port = free_port_asked_for(port)
    print(copy_course(folder).message, "JupyterLab starts.", sep="\n", flush=True)
    if lacks_progress(folder):
        with suppress(OSError):  # `progress` says what is wrong with the file
            note_progress(folder)
    run_lab(folder, port, browser)


@app.command(rich_help_panel=LEARN)
def doctor() -> None:
    """Examine this machine: what is installed, what is missing, and how to get it."""
    from posttrain_lab.cli.doctor import examine, print_findings

    raise typer.Exit(print_findings(examine()))


@app.command(rich_help_panel=LEARN)
def demo(
    page: Annotated[Path, typer.Option(help="Where to write the page with the plots.")] = Path("posttrain-demo.html"),
) -> None:
    """Prune, quantize and train the shipped network again; compare all steps on this machine, in a table and on a page."""
    from posttrain_lab.cli.demo import run_demo

    run_demo(page)


@app.command(rich_help_panel=LEARN)
def bench(
    csv: Annotated[Path | None, typer.Option(help="Where to write every time that was measured.", show_default=False)] = None,
    html: Annotated[Path | None, typer.Option(help="Where to write a page with rooflines.", show_default=False)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer repeats: under a minute instead of minutes.")] = False,
) -> None:
    """Measure the kernels on this machine, beside torch, scipy and onnxruntime: equality first, then time."""
    from posttrain_lab.benchmark.run import bench as run_bench

    run_bench(csv, html, quick)


@app.command(rich_help_panel=LEARN)
def deploy(
    model: Annotated[
        str, typer.Argument(help="A shipped network such as fashion_cnn, or a file of save_program.", metavar="MODEL")
    ],
    to: Annotated[str, typer.Option(help="web: one HTML file; c: C99; onnx.")] = "web",
    output: Annotated[Path | None, typer.Option(help="The file to write; named after the model.", show_default=False)] = None,
    budget: Annotated[
        int | None, typer.Option(help="The most bytes of RAM for the images between layers.", show_default=False, min=1)
    ] = None,
    images: Annotated[int, typer.Option(help="On how many images to compare; fewer take less time.", min=1)] = 1000,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Turn a network into integers for a browser, a chip or another runtime: compared on 1,000 images before it is written."""
    from posttrain_lab.cli.deploy import Wish, run_deploy

    run_deploy(model, to, output, Wish(budget, images, show))


@app.command(rich_help_panel=LEARN)
def check(unit: Unit, folder: Where = None) -> None:
    """Check your notebook of a UNIT: points and a message for each exercise. Exit code 1 while something is still wrong."""
    from posttrain_lab.cli.course import check_unit

    raise typer.Exit(0 if check_unit(unit, folder or course_root()) else 1)


@app.command(rich_help_panel=LEARN)
def progress(folder: Where = None) -> None:
    """Show how far you are: points of each unit when it was last checked."""
    from posttrain_lab.cli.course import show_progress

    show_progress(folder or course_root())


@app.command(rich_help_panel=TEACH)
def release(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit code 1 if course/ is not up to date.")] = False,
) -> None:
    """Make the students' notebooks and pages in course/, and README's table of units, from solutions/."""
    from posttrain_lab.cli.course import release_course

    raise typer.Exit(0 if release_course(check) else 1)


@app.command(rich_help_panel=TEACH)
def prove(
    unit: Annotated[str | None, a_unit(help="One unit; all of them when left out.")] = None,
    saboteurs: Annotated[bool, typer.Option("--saboteurs", help="Try right answers made wrong in systematic ways.")] = False,
    mutants: Annotated[int, typer.Option(help="Try so many mutants of each right answer.", min=0)] = 0,
    cases: Annotated[Path | None, typer.Option(help="Try the answers DIR/UNIT/EXERCISE/NAME.py.", metavar="DIR")] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Saboteurs, and ten mutants, of the exercises that changed.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Saboteurs and all mutants of all exercises.")] = False,
    solutions: Solutions = None,
) -> None:
    """Prove the grader: right answers get all points, every known mistake loses those of its exercise and is named."""
    if solutions and (changed or every or saboteurs or mutants or cases):
        raise ValueError("--solutions goes with the plain proof; run the others in a checkout of the repository.")
    if changed or every:
        from posttrain_lab.cli.proof import prove_standing

        raise typer.Exit(0 if prove_standing(unit, every) else 1)
    if saboteurs or mutants or cases:
        from posttrain_lab.cli.proof import prove_further

        raise typer.Exit(0 if prove_further(unit, saboteurs, mutants, cases) else 1)
    from posttrain_lab.cli.course import prove_units

    raise typer.Exit(0 if prove_units(unit, solutions) else 1)


@app.command(rich_help_panel=TEACH)
def collect(
    unit: Unit,
    source: Annotated[
        Path,
        typer.Argument(help="A zip of Moodle's or Canvas's, a folder of notebooks, or nbgrader's exchange.", metavar="SOURCE"),
    ],
    roster: Annotated[
        Path | None, typer.Option(help="A CSV of the class; roster.csv if it is there.", show_default=False, metavar="CSV")
    ] = None,
) -> None:
    """Put what students handed in for a UNIT into submitted/. Exit code 1 when a submission needs attention."""
    from posttrain_lab.cli.classwork import collect_unit

    raise typer.Exit(0 if collect_unit(unit, source, roster) else 1)


@app.command(rich_help_panel=TEACH)
def grade(
    unit: Unit,
    student: Annotated[list[str] | None, typer.Option(help="Only this student; may be given more than once.")] = None,
    workers: Annotated[int, typer.Option(help="So many submissions at once.", min=1)] = 1,
    regrade: Annotated[bool, typer.Option("--regrade", help="Enter the source again, and grade again what is graded.")] = False,
    all_cells: Annotated[bool, typer.Option("--all-cells", help="Run the figures too, not only what the checks need.")] = False,
    no_sandbox: Annotated[
        bool, typer.Option("--no-sandbox", help="Run students' code as you, with all that you may do.")
    ] = False,
    cluster: Annotated[
        str, typer.Option(help="Judge on the workers of the Dask cluster there.", metavar="ADDRESS", show_default=False)
    ] = "",
    solutions: Solutions = None,
) -> None:
    """Grade the notebooks in submitted/STUDENT/UNIT: points to nbgrader's gradebook, feedback pages, grades.csv. Goes on where it was ended."""
    from posttrain_lab.cli.course import grade_unit
    from posttrain_lab.grading.classroom import Order

    order = Order(workers, tuple(student or ()), regrade, not no_sandbox, all_cells, solutions, cluster)
    raise typer.Exit(0 if grade_unit(unit, order) else 1)


@app.command(rich_help_panel=TEACH)
def export(
    unit: Unit, platform: Annotated[str, typer.Argument(help="canvas, moodle or gradescope.", metavar="PLATFORM")]
) -> None:
    """Write the scores of a UNIT as the CSV that a learning platform reads, into exports/."""
    from posttrain_lab.cli.classwork import export_grades

    export_grades(unit, platform)


@app.command(rich_help_panel=TEACH)
def report(unit: Unit) -> None:
    """Write a page about the class: scores, misconceptions, and what to look at, into reports/. `grade` does it too."""
    from posttrain_lab.cli.classwork import report_unit

    report_unit(unit)


@app.command(rich_help_panel=TEACH)
def similarity(unit: Unit) -> None:
    """Write a folder in which compare50, JPlag or Dolos look for copies, the released code left out."""
    from posttrain_lab.cli.classwork import similarity_unit

    similarity_unit(unit)


@app.command(rich_help_panel=TEACH)
def sheets(roster: Annotated[Path, typer.Argument(help="A CSV of the class.", metavar="ROSTER")]) -> None:
    """Give each student of ROSTER a token, which draws their patients of unit 11: into sheets.csv."""
    from posttrain_lab.cli.classwork import write_sheets

    write_sheets(roster)


@app.command(rich_help_panel=TEACH)
def board(
    project: Annotated[str, typer.Argument(help="The project's number or name.", metavar="PROJECT")],
    folder: Annotated[Path, typer.Argument(help="A folder with a folder for each entry, such as submitted.", metavar="DIR")],
    clothes: Annotated[Path | None, typer.Option(help="Original clothes, which are not shipped.", show_default=False)] = None,
    public: Annotated[bool, typer.Option("--public", help="On the public instances, as often as you like.")] = False,
    output: Annotated[Path, typer.Option(help="Where to keep and write the board.")] = Path("board"),
) -> None:
    """Score the entries of a PROJECT on hidden instances; write the board as a page and a table."""
    from posttrain_lab.cli.board import BoardWish, run_board

    run_board(project, folder, BoardWish(clothes, public, output))


@app.command(rich_help_panel=TEACH)
def forget(student: Annotated[str, typer.Argument(help="The student's id.", metavar="STUDENT")]) -> None:
    """Remove all that is stored of one STUDENT: submissions, grades, feedback, and their lines in tables and reports."""
    from posttrain_lab.cli.classwork import forget_student

    forget_student(student)


@app.command(rich_help_panel=BUILD)
def site(
    folder: Annotated[Path, typer.Argument(help="Where to write the pages; a site that is there is replaced.", metavar="DIR")],
    solutions: Annotated[bool, typer.Option("--solutions", help="Below each exercise its solution, folded.")] = False,
) -> None:
    """Make the web site of the course and the slides of each unit from the notebooks, without running them."""
    from posttrain_lab.site.build import build_site

    print(f"{build_site(folder, solutions)} pages are in {folder}: open index.html there. They need no network.")
