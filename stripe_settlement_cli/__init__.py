"""The operator's command line: `python -m stripe_settlement_cli --help`.

It needs boto3 and rich, which an application that only synthesises does without:
`pip install 'stripe-settlement[operations]'`. Nothing here is imported by the constructs.
"""
