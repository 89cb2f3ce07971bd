"""The Lambda functions: role, logs, network, secrets."""
