"""Orders: look one up, and order the usual."""

from __future__ import annotations

import sqlite3

from .spoken import WEEKDAYS, parse_email, speak_digits
from .store import EffectRequest, Result, Store, add_order


async def lookup_order(store: Store, *, email: str) -> Result:
    """The newest order of a customer, found by e-mail address in written or spoken form."""
    address = parse_email(email)
    if address is None:
        return {"error": "That does not sound like an e-mail address. Could you say it again?"}

    def query(db: sqlite3.Connection) -> Result:
        row = db.execute(
            "SELECT * FROM orders WHERE email = ? ORDER BY number DESC LIMIT 1", (address,)
        ).fetchone()
        if row is None:
            return {"error": f"I found no order under {address}."}
        return {
            "email": address,
            "order": row["number"],
            "item": row["item"],
            "status": row["status"],
            "arrives": row["arrives"],
            "summary": f"Your {row['item']}, order {speak_digits(row['number'])}, "
            f"{_progress(row['status'], row['arrives'])}.",
        }

    return await store.read(query)


def _progress(status: str, arrives: str) -> str:
    """What became of an order, in words that are easy to hear."""
    if status == "delivered":
        return f"was delivered {arrives}"
    when = f"on {arrives}" if arrives in WEEKDAYS else arrives
    return f"is on its way and arrives {when}" if status == "shipped" else f"arrives {when}"


async def order_the_usual(store: Store, *, call: str, email: str) -> Result:
    """Order what a customer usually orders, once for each request of a call."""
    if not email:
        return {"error": "I need your e-mail address first, to see what your usual is."}

    def effect(db: sqlite3.Connection) -> Result:
        row = db.execute("SELECT usual FROM customers WHERE email = ?", (email,)).fetchone()
        if row is None or not row["usual"]:
            return {"error": "I have no usual on file for you."}
        number = add_order(db, email=email, item=row["usual"])
        return {
            "email": email,
            "order": number,
            "item": row["usual"],
            "status": "placed",
            "summary": f"Done, I ordered your usual: {row['usual']}. It arrives tomorrow.",
        }

    return await store.once(EffectRequest(call, "order_the_usual", {"email": email}), effect)
