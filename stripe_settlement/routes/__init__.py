"""The ways Stripe's news arrives: EventBridge first, a webhook as fallback."""
