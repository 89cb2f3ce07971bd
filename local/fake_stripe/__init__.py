"""A mock of Stripe: the part of its API that this project uses, and its deliveries, on loopback.

It is no Stripe. It plays event destinations, webhook endpoints, events, Checkout Sessions and their
payments as Stripe's documentation and Stripe's Python library describe them: the parameters of each
request are checked by the library's own types, the tests talk to it through the library only, and
what it does not play it refuses. `server.StripeServer` is where to begin; `control` is what happens
at Stripe without a request.
"""
