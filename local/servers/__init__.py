"""What the local cloud runs: servers on 127.0.0.1 that end without a trace, and the cdk CLI."""
