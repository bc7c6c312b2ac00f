package payments_test

import data.egret

config := {
	"currencies": {"eur": {"approval_over": 5000, "max": 50000}},
	"recipients": ["acct_1Example", "cus_Example"],
	"refunds": "deny",
	"read": false,
}

call(name, operation, arguments) := {
	"tool": {"name": name, "known": true, "operation": operation},
	"arguments": arguments,
	"arguments_state": "parsed",
}

transfer := {"amount": "5000", "currency": "EUR", "destination": "acct_1Example"}

pay(change) := call("stripe.transfers.create", "write", object.union(transfer, change))

refund := call("stripe.refunds.create", "write", {"charge": "ch_1"})

# [call, settings beside the usual ones, outcome, code of a reason]
calls := {
	"a payment": [pay({}), {}, "allow", "policy.allowed"],
	"a payment of a customer": [
		call("stripe.payment_intents.create", "write", {"amount": "100", "currency": "eur", "customer": "cus_Example"}),
		{}, "allow", "policy.allowed",
	],
	"a larger one": [pay({"amount": "5001"}), {}, "require_approval", "payment.over"],
	"the largest": [pay({"amount": 50000}), {}, "require_approval", "payment.over"],
	"too large": [pay({"amount": "50001"}), {}, "deny", "payment.amount_too_large"],
	"too large in another notation": [pay({"amount": "1e9"}), {}, "deny", "payment.amount_too_large"],
	"a part of a cent": [pay({"amount": "10.5"}), {}, "deny", "payment.amount_too_large"],
	"two amounts": [pay({"amount": ["1", "50001"]}), {}, "deny", "payment.amount_too_large"],
	"less than nothing": [pay({"amount": -5}), {}, "deny", "payment.amount_too_large"],
	"another currency": [pay({"currency": "usd"}), {}, "deny", "payment.currency_not_allowed"],
	"no currency": [pay({"currency": null}), {}, "deny", "payment.currency_not_allowed"],
	"a stranger": [pay({"destination": "acct_Eve"}), {}, "deny", "payment.recipient_not_allowed"],
	"also a stranger": [
		pay({"transfer_data[destination]": "acct_Eve"}),
		{}, "deny", "payment.recipient_not_allowed",
	],
	"nobody": [
		call("stripe.payouts.create", "write", {"amount": "5", "currency": "eur"}),
		{}, "deny", "payment.recipient_not_allowed",
	],
	"on behalf of another": [pay({"on_behalf_of": "acct_Eve"}), {}, "deny", "payment.unknown_argument"],
	"unreadable": [object.union(pay({}), {"arguments_state": "opaque"}), {}, "deny", "payment.unknown_argument"],
	"confirmed unseen": [
		call("stripe.payment_intents.confirm", "write", {"intent": "pi_1"}),
		{}, "deny", "payment.tool",
	],
	"another way to pay": [{"tool": {"name": "bank.pay", "sink": "payment"}}, {}, "deny", "payment.tool"],
	"a refund": [refund, {}, "deny", "payment.refund_not_allowed"],
	"a refund with approval": [refund, {"refunds": "approval"}, "require_approval", "payment.refund"],
	"a refund with more": [
		call("stripe.refunds.create", "write", {"charge": "ch_1", "reverse_transfer": "true"}),
		{"refunds": "approval"}, "deny", "payment.refund_not_allowed",
	],
	"read": [call("stripe.balance.get", "read", {}), {}, "deny", "payment.read"],
	"read where open": [call("stripe.balance.get", "read", {}), {"read": true}, "allow", "policy.allowed"],
	"recipients as a text": [pay({}), {"recipients": "acct_1Example"}, "deny", "payment.unconfigured"],
	"a maximum that is a text": [
		pay({}),
		{"currencies": {"eur": {"max": "50000"}}},
		"deny", "payment.amount_too_large",
	],
	"no amount for approval": [
		pay({}),
		{"currencies": {"eur": {"approval_over": null}}},
		"require_approval", "payment.over",
	],
	"nothing at all": [{}, {}, "deny", null],
}

test_calls[name] if {
	some name, [document, setting, outcome, code] in calls
	decision := egret.decision with input as document
		with data.config.payments as object.union(config, setting)
		with data.yaml as {}
	expected(decision, outcome, code)
}

expected(decision, outcome, null) if {
	decision.outcome == outcome
	decision.code == "policy.no_match"
}

expected(decision, outcome, code) if {
	decision.outcome == outcome
	code in [reason.code | some reason in decision.reasons]
}

test_without_settings_nothing_is_paid if {
	decision := egret.decision with input as pay({}) with data.config.payments as {} with data.yaml as {}
	expected(decision, "deny", "payment.unconfigured")
}
