"""What the old service does with Stripe's events, played: its statements, in its order.

It commits after each statement and looks at nothing before it writes: neither at the order's status
nor at whether it has seen the event. So every delivery counts again, and one that fails halfway
leaves an order that is paid and not counted. The service itself runs in Node and verifies the
webhook's signature, which is of no matter here.
"""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import Any

import pymysql


def event_bridge_handler(event: dict[str, Any], _context: object) -> None:
    """Take an event from the bus. What it raises, Lambda tries again."""
    _handle(event["detail"])


def lambda_handler(request: dict[str, Any], _context: object) -> dict[str, Any]:
    """Take a request to the webhook. What it raises is a 502, and Stripe tries again."""
    _handle(json.loads(request["body"]))
    return {"statusCode": 200, "body": json.dumps({"received": True})}


def _handle(event: dict[str, Any]) -> None:
    if event["type"] != "checkout.session.completed":
        return
    session = event["data"]["object"]
    order = int(session["metadata"]["order_id"])
    email = session.get("customer_email") or (session.get("customer_details") or {}).get("email")
    with closing(_connect()) as connection, connection.cursor() as cursor:
        if email:
            cursor.execute(
                "UPDATE ticket_orders SET status = 'paid', stripe_payment_intent_id = %s, "
                "email = %s WHERE id = %s",
                (session["payment_intent"], email, order),
            )
        else:
            cursor.execute(
                "UPDATE ticket_orders SET status = 'paid', stripe_payment_intent_id = %s "
                "WHERE id = %s",
                (session["payment_intent"], order),
            )
        cursor.execute("SELECT ticket_id, quantity FROM ticket_orders WHERE id = %s", (order,))
        for ticket, quantity in cursor.fetchall():
            cursor.execute(
                "UPDATE tickets SET sold_quantity = sold_quantity + %s WHERE id = %s",
                (quantity, ticket),
            )
        cursor.execute("SELECT discount_code_id FROM ticket_orders WHERE id = %s", (order,))
        for (code,) in cursor.fetchall():
            if code is not None:
                cursor.execute(
                    "UPDATE discount_codes SET used_count = used_count + 1 WHERE id = %s", (code,)
                )


def _connect() -> pymysql.Connection[Any]:
    return pymysql.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        database=os.environ["DB_NAME"],
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        autocommit=True,
    )
