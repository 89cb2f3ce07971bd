"""All that `make bench` measures, on one page: settlements, the cold start, `cdk synth`,
reconciliation after an outage, and an on-sale.

    python -m benchmarks

Rewrites docs/benchmarks.md and its chart, but not with --quick. Ends with 1 under --check when a
promise is not kept.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import catch_up, sale, settlements, synth

SYNTH_ROUNDS = 7


def main() -> int:
    """Measures, prints and writes the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    settlements.add_arguments(parser)
    options = parser.parse_args()
    options.write |= not options.quick
    results = settlements.run(options)
    caught_up = catch_up.measure(catch_up.QUICK_ORDERS if options.quick else catch_up.ORDERS)
    sold = sale.measure(sale.QUICK if options.quick else sale.FULL)
    synthesised = synth_section(1 if options.quick else SYNTH_ROUNDS)
    more = "\n\n".join([synthesised, caught_up.section(), sold.section()])
    settlements.publish(results, options, more=more)
    broken = catch_up.say_what_is_broken(caught_up) | sale.say_what_is_broken(sold)
    return settlements.verdict(results, options) or (1 if broken and options.check else 0)


def synth_section(rounds: int) -> str:
    """What synthesising this app costs, against an empty one."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = synth.candidates(Path(folder))
        synth.measure(pairs, rounds)
    return f"## Synth\n\n{synth.report(pairs, rounds)}"


if __name__ == "__main__":
    sys.exit(main())
