"""How long `cdk synth` takes: this app against one with an empty stack, side by side in one run.

Both go through the same command line, interpreter and context, in turns, so that what else the
machine does falls on both. Warm is what a second synth finds: compiled libraries, and the
functions' asset in the output folder. The CDK validates every template against CloudFormation's
rules, which takes longer than all the rest; the second pair of rows is without it, so that it does
not flatter the ratio.

    python -m benchmarks.synth --repeats 9
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
ALLOWED_RATIO = 1.5
EMPTY_APP = """\
import aws_cdk as cdk

app = cdk.App()
stack = cdk.Stack(app, "Empty")
cdk.Validations.of(stack).acknowledge(
    cdk.Acknowledgment(id="CloudFormation-Validate::F0001", reason="It is empty on purpose.")
)
app.synth()
"""


@dataclass
class Candidate:
    """One app, and the seconds each of its rounds took."""

    name: str
    command: list[str]
    environment: dict[str, str]
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    def synthesise(self, *, counts: bool) -> None:
        """Run once, and note the time and the processor time it took if the round counts."""
        start, cpu_start = time.perf_counter(), _cpu_of_children()
        done = subprocess.run(
            self.command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds, cpu_seconds = time.perf_counter() - start, _cpu_of_children() - cpu_start
        if done.returncode:
            raise SystemExit(f"{self.name} did not synthesise:\n{done.stdout}\n{done.stderr}")
        if counts:
            self.seconds.append(seconds)
            self.cpu_seconds.append(cpu_seconds)

    @property
    def median(self) -> float:
        """Median seconds over the rounds."""
        return statistics.median(self.seconds)

    def row(self, *, against: Candidate) -> str:
        """One row of the table."""
        cpu, its_cpu = (statistics.median(c.cpu_seconds) for c in (self, against))
        spread = (self.median, min(self.seconds), max(self.seconds))
        cells = (*spread, self.median / against.median, cpu, cpu / its_cpu)
        return f"| {self.name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |"


def candidates(folder: Path) -> list[tuple[Candidate, Candidate]]:
    """The empty app and this one, as `cdk synth` runs them and without template validation."""
    empty = folder / "empty.py"
    empty.write_text(EMPTY_APP)
    # Warm is with bytecode, which some shells and images forbid Python to keep.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["CDK_DISABLE_CLI_TELEMETRY"] = "true"

    def candidate(name: str, app: Path, *options: str) -> Candidate:
        command = ["npx", "cdk", "synth", "--quiet", "--no-notices", *options]
        command += ["--app", f"{sys.executable} {app}"]
        command += ["--output", str(folder / f"{app.stem}.out")]
        return Candidate(name, command, environment)

    ours = ROOT / "app.py"
    return [
        (candidate("one empty stack", empty), candidate("this app", ours)),
        (
            candidate("one empty stack, `--no-validation`", empty, "--no-validation"),
            candidate("this app, `--no-validation`", ours, "--no-validation"),
        ),
    ]


def measure(pairs: list[tuple[Candidate, Candidate]], repeats: int) -> None:
    """Time every candidate in turn, after a round that only warms up."""
    everyone = [candidate for pair in pairs for candidate in pair]
    for number in range(repeats + 1):
        for candidate in everyone:
            candidate.synthesise(counts=number > 0)


def report(pairs: list[tuple[Candidate, Candidate]], repeats: int) -> str:
    """The measurements as a Markdown table, and whether the promise holds."""
    lines = [
        f"`cdk synth`, warm: seconds over {repeats} alternating rounds.",
        "",
        "| app | median | minimum | maximum | times the empty one | processor time | times |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for empty, ours in pairs:
        lines += [empty.row(against=empty), ours.row(against=empty)]
    empty, ours = pairs[0]
    verdict = "reached" if ours.median <= ALLOWED_RATIO * empty.median else "NOT reached"
    return "\n".join([*lines, "", f"At most {ALLOWED_RATIO} times the empty app: {verdict}."])


def _cpu_of_children() -> float:
    """Processor seconds of the programs that have ended: what a busy machine leaves alone."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="rounds that count (default: 7)")
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        pairs = candidates(Path(folder))
        measure(pairs, repeats)
        print(report(pairs, repeats))


if __name__ == "__main__":
    main()
