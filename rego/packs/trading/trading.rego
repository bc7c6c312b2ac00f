# METADATA
# title: Trading, advice only unless configured otherwise
# description: >-
#   Price feeds may be read and people may be told; orders are denied. In the mode execution a new order within its
#   bounds asks for the approval of a person. Settings: data.config.trading.
package policies.trading

import data.egret.arguments
import data.egret.mail
import data.egret.settings

config := data.config.trading

configured if config.mode in ["advisory", "execution"]

price_tools := ["alpaca.market.bars", "alpaca.market.quote", "alpaca.market.trade", "alpaca.market.snapshot"]

portfolio_tools := [
	"alpaca.account.get",
	"alpaca.orders.get",
	"alpaca.orders.list",
	"alpaca.positions.get",
	"alpaca.positions.list",
]

reads_prices if input.tool.name in price_tools

reads_portfolio if input.tool.name in portfolio_tools

# Whatever else the broker can do is taken for a trade.
trades if {
	startswith(input.tool.name, "alpaca.")
	not input.tool.name in array.concat(price_tools, portfolio_tools)
}

trades if input.tool.sink == "trade"

about if reads_prices

about if reads_portfolio

about if trades

deny contains {"code": "trading.unconfigured", "message": "data.config.trading needs a mode, advisory or execution"} if {
	about
	not configured
}

# METADATA
# title: Price feeds
allow contains "price feeds may be read" if {
	configured
	reads_prices
	arguments.readable
}

# METADATA
# title: Positions, orders and the account, where the settings open them
allow contains "the portfolio may be read" if {
	portfolio_open
	reads_portfolio
	arguments.readable
}

portfolio_open if {
	configured
	config.portfolio == true
}

deny contains {"code": "trading.portfolio", "message": "positions, orders and the account may not be read"} if {
	reads_portfolio
	not portfolio_open
}

# METADATA
# title: A suggestion in a listed channel
allow contains "people may be told in a listed channel" if {
	configured
	input.tool.name == "slack.chat.postMessage"
	input.arguments_state == "parsed"
	arguments.only(["channel", "channel_id", "text", "thread_ts"])
	is_string(input.arguments.text)
	settings.some_texts(config.notify.channels)
	arguments.only_values(["channel", "channel_id"], config.notify.channels)
}

# METADATA
# title: A suggestion by mail to listed people
allow contains "listed people may be told by mail" if {
	configured
	input.tool.name == "gmail.send"
	input.arguments_state == "parsed"
	settings.some_texts(config.notify.addresses)
	mail.only_to(config.notify.addresses)
	count(input.attachments) == 0
}

deny contains {"code": "trading.advisory", "message": "orders are not placed in advisory mode; suggest the order to a person"} if {
	trades
	not executes
}

executes if config.mode == "execution"

places_order if input.tool.name == "alpaca.orders.create"

deny contains {"code": "trading.tool", "message": "only new orders can be placed; replacing, cancelling and closing are left to people"} if {
	trades
	executes
	not places_order
}

deny contains {"code": "trading.account", "message": "orders do not go to this host"} if {
	places_order
	executes
	not listed_host
}

listed_host if {
	settings.some_texts(config.execution.hosts)
	input.destination.host in config.execution.hosts
}

order_arguments := [
	"client_order_id", "extended_hours", "limit_price", "notional", "qty",
	"side", "stop_price", "symbol", "time_in_force", "type",
]

deny contains {"code": "trading.order_unreadable", "message": "the order cannot be read whole, or has parts that are not known here"} if {
	places_order
	executes
	not plain_order
}

plain_order if {
	input.arguments_state == "parsed"
	arguments.only(order_arguments)
	input.arguments.side in ["buy", "sell"]
}

deny contains {"code": "trading.order_too_large", "message": "the symbol is not listed, or the size of the order is over its maximum or not plain"} if {
	places_order
	executes
	not within_size
}

within_size if {
	not "notional" in object.keys(arguments.given)
	arguments.at_most(input.arguments.qty, qty_max)
}

within_size if {
	not "qty" in object.keys(arguments.given)
	qty_max
	arguments.at_most(input.arguments.notional, config.execution.notional_max)
}

# The map of maxima is also the list of symbols.
qty_max := config.execution.qty_max[input.arguments.symbol]

within_bounds if {
	places_order
	executes
	listed_host
	plain_order
	within_size
}

# METADATA
# title: An order within its bounds, with approval
allow contains "an order within its bounds, with approval" if within_bounds

require_approval contains {"code": "trading.approval", "message": "an order needs the approval of a person; it also needs cooldowns and daily limits, which count only where the sidecar keeps them"} if within_bounds

log contains "full" if trades
