"""What each alarm says: what happened, what is at risk, which entry of the runbook helps.

The entries are anchors in the runbook. They are in messages and bookmarks, so they never change.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class AlarmText:
    """The wording of one alarm. `{…}` stands for a fact of the watched part, see `describe`."""

    happened: str
    """What happened, as sentences."""

    at_risk: str
    """What it costs to do nothing, as sentences."""

    entry: str
    """Anchor of the runbook's entry."""

    def describe(self, runbook_url: str, **facts: str) -> str:
        """Return the alarm's description, with `facts` filled in."""
        return (
            f"What happened: {self.happened}\nAt risk: {self.at_risk}\n".format(**facts)
            + f"Runbook: {runbook_url}#{self.entry}"
        )

    def with_age(self) -> "AlarmText":
        """Return the wording for a message that has been in a queue for too long (fact: `age`)."""
        return replace(
            self,
            happened=f"{self.happened} It has been there for more than {{age}}.",
            at_risk=f"{self.at_risk} The queue deletes it at the end of its retention period.",
            entry=f"{self.entry}-age",
        )


# A function (fact: label)
FUNCTION_ERRORS = AlarmText(
    happened="{label} ended in an exception, a crash or a timeout.",
    at_risk="The delivery was not settled. It is retried a few times; after that it waits in a "
    "queue for a redrive.",
    entry="function-errors",
)
FUNCTION_THROTTLES = AlarmText(
    happened="{label} was throttled: no concurrency was left for an invocation.",
    at_risk="Settlements are late; if it lasts, their events end in a failure queue.",
    entry="function-throttles",
)
FUNCTION_DURATION = AlarmText(
    happened="{label} took more than {share} of its {timeout} timeout.",
    at_risk="Invocations are about to be killed half way. The database rolls such a settlement "
    "back: it is late, not wrong.",
    entry="function-duration",
)
ASYNC_EVENTS_DROPPED = AlarmText(
    happened="Lambda gave up on an event for {label}.",
    at_risk="A customer has paid and the order is not settled. Its event should be in the "
    "on-failure queue; if it is not, only Stripe still has it.",
    entry="async-events-dropped",
)
ASYNC_EVENT_AGE = AlarmText(
    happened="An event has waited longer than {age} for {label}.",
    at_risk="Customers have paid and their orders are still open. Past the maximum event age "
    "Lambda gives up on such an event.",
    entry="async-event-age",
)
DESTINATION_DELIVERY_FAILURES = AlarmText(
    happened="Lambda could not send a failed event of {label} to its on-failure queue.",
    at_risk="The event is lost; only Stripe and the function's log still know of the payment.",
    entry="destination-delivery-failures",
)
ON_FAILURE_QUEUE = AlarmText(
    happened="A function failed on an event at every attempt; it is in the {label}.",
    at_risk="A customer has paid and the order is not settled.",
    entry="on-failure-queue",
)

# The event route
RULE_FAILED_INVOCATIONS = AlarmText(
    happened="EventBridge could not deliver a Stripe event to the function.",
    at_risk="The payment in it is unsettled until the event is redriven.",
    entry="rule-failed-invocations",
)
RULE_SENT_TO_DLQ = AlarmText(
    happened="EventBridge gave up on a Stripe event and sent it to the Stripe event DLQ.",
    at_risk="A customer has paid and the order is not settled.",
    entry="rule-sent-to-dlq",
)
RULE_DLQ_FAILURES = AlarmText(
    happened="EventBridge gave up on a Stripe event and could not send it to the Stripe event DLQ.",
    at_risk="The event is lost; only Stripe still knows of the payment.",
    entry="rule-dlq-failures",
)
STRIPE_EVENT_DLQ = AlarmText(
    happened="A Stripe event that could not be delivered is in the {label}.",
    at_risk="A customer has paid and the order is not settled.",
    entry="stripe-event-dlq",
)
NO_STRIPE_EVENTS = AlarmText(
    happened="EventBridge has delivered no Stripe event for {silence}.",
    at_risk="Either nobody bought anything, or payments are made and do not reach this service.",
    entry="no-stripe-events",
)

# The on-sale queue
ON_SALE_QUEUE_AGE = AlarmText(
    happened="A Stripe event has waited longer than {age} in the on-sale queue.",
    at_risk="Customers have paid and their orders are still open. What keeps failing goes to the "
    "On-sale DLQ.",
    entry="on-sale-queue-age",
)
ON_SALE_DLQ = AlarmText(
    happened="The function failed on an event of the on-sale queue at every attempt; it is in the "
    "{label}.",
    at_risk="A customer has paid and the order is not settled.",
    entry="on-sale-dlq",
)

# The webhook route
WEBHOOK_5XX = AlarmText(
    happened="The webhook returned a 5XX to Stripe.",
    at_risk="The delivery was not settled. Stripe repeats it for three days (live mode), then "
    "never again.",
    entry="webhook-5xx",
)
WEBHOOK_LATENCY = AlarmText(
    happened="The webhook's latency (p99) exceeded {latency}.",
    at_risk="API Gateway and Stripe time out on slow responses; such deliveries count as failed "
    "and are repeated.",
    entry="webhook-latency",
)
SIGNATURE_FAILURES = AlarmText(
    happened="The webhook rejected a delivery whose signature or form is not Stripe's.",
    at_risk="If the signing secret is wrong or was rolled, every payment on this route is "
    "rejected. If the sender was not Stripe, nothing.",
    entry="signature-failures",
)

# Reconciliation (the function's own alarms have the fact: label)
RECONCILED = AlarmText(
    happened="Reconciliation settled an order that neither EventBridge nor the webhook had.",
    at_risk="This order is settled. Both routes missed it, and whatever they miss now settles "
    "late.",
    entry="reconciled",
)
RECONCILIATION_FAILED = AlarmText(
    happened="A run of {label} failed.",
    at_risk="What both routes miss stays unsettled until a run succeeds. Nothing is skipped: the "
    "next run begins where the last one came to.",
    entry="reconciliation-failed",
)
RECONCILIATION_LAG = AlarmText(
    happened="Reconciliation's watermark is older than {lag}, or it has not run for that long.",
    at_risk="What both routes miss stays unsettled. Stripe keeps events for 30 days.",
    entry="reconciliation-lag",
)

# Settlement itself
PAYMENT_ANOMALIES = AlarmText(
    happened="A payment does not match its order and was recorded in payment_anomalies.",
    at_risk="Money was taken and did not settle an order: the customer needs a ticket or a refund, "
    "and the operator has to decide which.",
    entry="payment-anomalies",
)
SETTLEMENTS_STUCK_IN_RETRY = AlarmText(
    happened="Settlements have been retried in every period for {span}.",
    at_risk="Paid orders stay open. When the retries run out, their events end in a failure queue "
    "or Stripe gives up.",
    entry="settlements-stuck-in-retry",
)
