# METADATA
# title: Payments to listed recipients
# description: >-
#   Money moves in listed currencies, to listed recipients and up to a maximum; above an amount a person must approve.
#   Amounts are in the smallest unit of their currency. Settings: data.config.payments.
package policies.payments

import data.egret.arguments
import data.egret.settings

config := data.config.payments

configured if {
	is_object(config.currencies)
	settings.some_texts(config.recipients)
}

about if startswith(input.tool.name, "stripe.")

about if input.tool.sink == "payment"

deny contains {"code": "payment.unconfigured", "message": "data.config.payments needs currencies and recipients"} if {
	about
	not configured
}

paying_tools := [
	"stripe.charges.create",
	"stripe.payment_intents.create",
	"stripe.payouts.create",
	"stripe.transfers.create",
]

pays if input.tool.name in paying_tools

refunds if input.tool.name == "stripe.refunds.create"

reads if {
	startswith(input.tool.name, "stripe.")
	input.tool.known == true
	input.tool.operation in ["read", "list"]
}

recipient_arguments := ["customer", "destination", "transfer_data[destination]"]

# Who else takes part (`on_behalf_of`), what is taken apart from the amount (`application_fee_amount`), and what came
# before (`source_transaction`) is left to people.
payment_arguments := array.concat(recipient_arguments, [
	"amount", "confirm", "currency", "description", "payment_method", "statement_descriptor", "transfer_group",
])

plain if {
	input.arguments_state == "parsed"
	arguments.only(payment_arguments)
}

listed_recipient if arguments.only_values(recipient_arguments, config.recipients)

currency := lower(input.arguments.currency)

listed_currency if is_object(config.currencies[currency])

# Never a part of the smallest unit.
amount := whole if {
	whole := arguments.number(input.arguments.amount)
	floor(whole) == whole
}

within_max if arguments.at_most(amount, config.currencies[currency].max)

without_approval if arguments.at_most(amount, config.currencies[currency].approval_over)

# METADATA
# title: A payment within its bounds
allow contains "a payment within its bounds" if {
	configured
	pays
	plain
	listed_recipient
	listed_currency
	within_max
}

require_approval contains {"code": "payment.over", "message": "the amount needs the approval of a person"} if {
	pays
	not without_approval
}

# METADATA
# title: A refund, with approval
allow contains "a refund, with approval" if refund_on_approval

require_approval contains {"code": "payment.refund", "message": "a refund needs the approval of a person"} if refund_on_approval

refund_on_approval if {
	configured
	refunds
	config.refunds == "approval"
	input.arguments_state == "parsed"
	arguments.only(["amount", "charge", "payment_intent", "reason"])
}

# METADATA
# title: Reading, where the settings open it
allow contains "payments may be read" if {
	reading_open
	arguments.readable
}

reading_open if {
	configured
	reads
	config.read == true
}

deny contains {"code": "payment.recipient_not_allowed", "message": "a recipient is not on the list, or there is none"} if {
	pays
	not listed_recipient
}

deny contains {"code": "payment.currency_not_allowed", "message": "the currency is not listed"} if {
	pays
	not listed_currency
}

deny contains {"code": "payment.amount_too_large", "message": "the amount is over the maximum of its currency, or is no whole number"} if {
	pays
	not within_max
}

deny contains {"code": "payment.unknown_argument", "message": "the payment has parts that are not known here"} if {
	pays
	not plain
}

deny contains {"code": "payment.refund_not_allowed", "message": "refunds are not open, or the refund has parts that are not known here"} if {
	refunds
	not refund_on_approval
}

deny contains {"code": "payment.read", "message": "payments and customers may not be read"} if {
	reads
	not reading_open
}

# Confirming and capturing are about an amount that was set elsewhere.
deny contains {"code": "payment.tool", "message": "this tool moves money that cannot be seen in the call"} if {
	about
	not pays
	not refunds
	not reads
}

log contains "full" if {
	about
	not reads
}
