"""The straightforward handler that a team would write first: what ours is measured against.

It is correct for one delivery at a time, and ordinary on purpose: it imports the libraries at the
top, keeps its connection, and talks to the database statement by statement. The ticket's row, which
a whole sale shares, is locked early and held for the rest of the conversation.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

import boto3
import pymysql
import stripe
from pymysql.connections import Connection
from pymysql.cursors import Cursor

Json = dict[str, Any]

_connection: Connection[Cursor] | None = None


def handler(event: Json, context: object) -> Json:  # noqa: ARG001 - Lambda passes it
    """Settles one EventBridge event."""
    global _connection  # noqa: PLW0603 - as such handlers do
    if event["detail-type"] != "checkout.session.completed":
        return {"outcome": "ignored"}
    if _connection is None:
        user, password = credentials()
        _connection = connect(
            os.environ["DB_HOST"],
            int(os.environ["DB_PORT"]),
            database=os.environ["DB_NAME"],
            user=user,
            password=password,
        )
    stripe_event = stripe.Event.construct_from(event["detail"], None)
    return {"outcome": "settled", "event_id": stripe_event.id} | settle(_connection, event)


def credentials() -> tuple[str, str]:
    """User and password, from the environment or from Secrets Manager."""
    arn = os.environ.get("DB_SECRET_ARN")
    if arn is None:
        return os.environ["DB_USER"], os.environ["DB_PASSWORD"]
    answer = boto3.client("secretsmanager").get_secret_value(SecretId=arn)
    secret = json.loads(answer["SecretString"])
    return secret["username"], secret["password"]


def connect(host: str, port: int, *, database: str, user: str, password: str) -> Connection[Cursor]:
    """One connection, kept between invocations."""
    return pymysql.connect(
        host=host, port=port, database=database, user=user, password=password, charset="utf8mb4"
    )


def settle(connection: Connection[Cursor], event: Json) -> Json:
    """Settles the order of a paid session: one statement per round trip."""
    detail = event["detail"]
    session = detail["data"]["object"]
    order_id = int(session["metadata"]["order_id"])
    now = datetime.now(UTC).replace(tzinfo=None)
    connection.begin()
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT status, ticket_id, quantity, discount_code_id, total_amount "
                "FROM ticket_orders WHERE id = %s FOR UPDATE",
                (order_id,),
            )
            row = cursor.fetchone()
            if row is None:
                raise LookupError(f"order {order_id} does not exist")
            status, ticket_id, quantity, discount_code_id, amount = row
            if status != "pending":
                connection.rollback()
                return {"outcome": "duplicate"}
            if amount * 100 != session["amount_total"]:
                raise ValueError(f"order {order_id} costs {amount}")
            cursor.execute(
                "UPDATE tickets SET sold_quantity = sold_quantity + %s WHERE id = %s",
                (quantity, ticket_id),
            )
            cursor.execute(
                "UPDATE ticket_orders SET status = 'paid', stripe_payment_intent_id = %s, "
                "email = %s WHERE id = %s",
                (session["payment_intent"], session["customer_details"]["email"], order_id),
            )
            if discount_code_id is not None:
                cursor.execute(
                    "UPDATE discount_codes SET used_count = used_count + 1 WHERE id = %s",
                    (discount_code_id,),
                )
            cursor.execute(
                "INSERT INTO stripe_events (event_id, type, route, outcome, processed_at) "
                "VALUES (%s, %s, 'eventbridge', 'settled', %s)",
                (detail["id"], detail["type"], now),
            )
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return {"outcome": "settled"}
