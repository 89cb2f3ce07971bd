"""Stripe's side of the deployment, as CloudFormation's custom resources."""
