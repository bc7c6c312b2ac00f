package trading_test

import data.egret

advisory := {
	"mode": "advisory",
	"portfolio": true,
	"notify": {"channels": ["C0TRADING"], "addresses": ["ada@example.com"]},
}

execution := object.union(advisory, {
	"mode": "execution",
	"execution": {"hosts": ["paper-api.alpaca.markets"], "qty_max": {"NVDA": 10}, "notional_max": 1000},
})

call(name, arguments) := {
	"tool": {"name": name, "known": true, "operation": "write"},
	"arguments": arguments,
	"arguments_state": "parsed",
	"attachments": [],
	"destination": {"host": "paper-api.alpaca.markets"},
}

order := {"symbol": "NVDA", "qty": "10", "side": "sell", "type": "market", "time_in_force": "day"}

changed(change) := call("alpaca.orders.create", object.union(order, change))

by_value(change) := call("alpaca.orders.create", object.union(object.remove(order, ["qty"]), change))

mail := {"to": ["ada@example.com"], "subject": "NVDA", "text": "Trim it."}

# [call, settings, outcome, code of a reason]
calls := {
	"a quote": [call("alpaca.market.quote", {"symbol": "NVDA"}), advisory, "allow", "policy.allowed"],
	"a quote without mode": [call("alpaca.market.quote", {}), {}, "deny", "trading.unconfigured"],
	"a quote in an unknown mode": [call("alpaca.market.quote", {}), {"mode": "yolo"}, "deny", "trading.unconfigured"],
	"a quote with a body nobody can read": [
		object.union(call("alpaca.market.quote", {}), {"arguments_state": "opaque"}),
		advisory, "deny", null,
	],
	"positions": [call("alpaca.positions.list", {}), advisory, "allow", "policy.allowed"],
	"positions that are not open": [call("alpaca.positions.list", {}), {"mode": "advisory"}, "deny", "trading.portfolio"],
	"a message": [call("slack.chat.postMessage", {"channel": "C0TRADING", "text": "trim"}), advisory, "allow", "policy.allowed"],
	"a message elsewhere": [call("slack.chat.postMessage", {"channel": "C0ALL", "text": "trim"}), advisory, "deny", null],
	"a message with blocks": [
		call("slack.chat.postMessage", {"channel": "C0TRADING", "text": "x", "blocks": []}),
		advisory, "deny", null,
	],
	"a mail": [call("gmail.send", mail), advisory, "allow", "policy.allowed"],
	"a mail with a file": [object.union(call("gmail.send", mail), {"attachments": [{"name": "a"}]}), advisory, "deny", null],
	"a mail to a stranger": [call("gmail.send", {"to": ["eve@example.net"]}), advisory, "deny", null],
	"an order": [changed({}), advisory, "deny", "trading.advisory"],
	"an order without settings": [changed({}), {}, "deny", "trading.unconfigured"],
	"a position closed": [call("alpaca.positions.close", {"symbol": "NVDA"}), advisory, "deny", "trading.advisory"],
	"a tool of the broker nobody knows": [call("alpaca.crypto.buy", {}), advisory, "deny", "trading.advisory"],
	"another broker": [{"tool": {"name": "broker.buy", "sink": "trade"}}, advisory, "deny", "trading.advisory"],
	"an order in execution": [changed({}), execution, "require_approval", "trading.approval"],
	"an order by value": [by_value({"notional": 1000}), execution, "require_approval", "trading.approval"],
	"by value of another symbol": [by_value({"notional": 5, "symbol": "GME"}), execution, "deny", "trading.order_too_large"],
	"too large by value": [by_value({"notional": "1000.01"}), execution, "deny", "trading.order_too_large"],
	"by value and number": [changed({"notional": 1}), execution, "deny", "trading.order_too_large"],
	"too large": [changed({"qty": "11"}), execution, "deny", "trading.order_too_large"],
	"too large in another notation": [changed({"qty": "1e3"}), execution, "deny", "trading.order_too_large"],
	"no size": [call("alpaca.orders.create", object.remove(order, ["qty"])), execution, "deny", "trading.order_too_large"],
	"another symbol": [changed({"symbol": "GME"}), execution, "deny", "trading.order_too_large"],
	"another account": [
		object.union(changed({}), {"destination": {"host": "api.alpaca.markets"}}),
		execution, "deny", "trading.account",
	],
	"an order with legs": [changed({"legs": []}), execution, "deny", "trading.order_unreadable"],
	"an order without side": [changed({"side": null}), execution, "deny", "trading.order_unreadable"],
	"an order replaced": [call("alpaca.orders.replace", {"order_id": "1", "qty": "1"}), execution, "deny", "trading.tool"],
	"bounds that are no numbers": [
		changed({}),
		object.union(execution, {"execution": {"qty_max": {"NVDA": "many"}}}),
		"deny", "trading.order_too_large",
	],
	"execution without bounds": [changed({}), {"mode": "execution"}, "deny", "trading.account"],
	"nothing at all": [{}, execution, "deny", null],
}

decide(document, settings) := decision if {
	decision := egret.decision with input as document with data.config.trading as settings with data.yaml as {}
}

test_calls[name] if {
	some name, [document, settings, outcome, code] in calls
	expected(decide(document, settings), outcome, code)
}

expected(decision, outcome, null) if {
	decision.outcome == outcome
	decision.code == "policy.no_match"
}

expected(decision, outcome, code) if {
	decision.outcome == outcome
	code in [reason.code | some reason in decision.reasons]
}

test_orders_are_logged_in_full if {
	some obligation in decide(changed({}), advisory).obligations
	obligation.level == "full"
}
