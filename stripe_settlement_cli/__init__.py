"""The operator's command line: `stripe-settlement --help`.

It needs boto3 and rich, which an application that only synthesises does without:
`pip install 'stripe-settlement[cli]'`. It imports neither the constructs nor the CDK.
"""
