"""Our own stacks' templates. Several suites read them, and each takes seconds to synthesise."""

from functools import cache

from tests.infrastructure.synthesis import TemplateJson, cdk_context, payments_stack, template_of

ENVIRONMENTS = sorted(cdk_context()["environments"])


@cache
def environment_template(environment: str) -> TemplateJson:
    """What `cdk synth -c environment=…` writes; not to be changed, the next test reads it too."""
    return template_of(payments_stack(environment))
