"""`python -m stripe_settlement_cli`: the same as `stripe-settlement`."""

import sys

from stripe_settlement_cli.cli import main

sys.exit(main())
