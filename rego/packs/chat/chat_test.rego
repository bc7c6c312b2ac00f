package chat_test

import data.egret

config := {"channels": ["C0GENERAL"], "secret_words": ["api_key"], "directory": true}

call(name, arguments) := {"tool": {"name": name, "known": true}, "arguments": arguments, "arguments_state": "parsed"}

post(change) := call("slack.chat.postMessage", object.union({"channel": "C0GENERAL", "text": "hello"}, change))

# [call, outcome, code of a reason]
calls := {
	"a message": [post({}), "allow", "policy.allowed"],
	"an answer": [post({"thread_ts": "1.2"}), "allow", "policy.allowed"],
	"through MCP": [call("slack.chat.postMessage", {"channel_id": "C0GENERAL", "text": "hello"}), "allow", "policy.allowed"],
	"to one person": [call("slack.chat.postEphemeral", {"channel": "C0GENERAL", "user": "U1", "text": "x"}), "allow", "policy.allowed"],
	"changed": [call("slack.chat.update", {"channel": "C0GENERAL", "ts": "1.2", "text": "x"}), "allow", "policy.allowed"],
	"a reaction": [
		call("slack.reactions.add", {"channel": "C0GENERAL", "timestamp": "1.2", "name": "eyes"}),
		"allow", "policy.allowed",
	],
	"elsewhere": [post({"channel": "C0SECRET"}), "deny", "chat.channel_not_allowed"],
	"under two names": [post({"channel_id": "C0SECRET"}), "deny", "chat.channel_not_allowed"],
	"nowhere": [call("slack.chat.postMessage", {"text": "x"}), "deny", "chat.channel_not_allowed"],
	"in two channels": [post({"channel": ["C0GENERAL", "C0SECRET"]}), "deny", "chat.channel_not_allowed"],
	"blocks": [post({"blocks": "[]"}), "deny", "chat.unknown_argument"],
	"names made to mentions": [post({"link_names": true}), "deny", "chat.unknown_argument"],
	"a text that is none": [post({"text": [{"a": "b"}]}), "deny", "chat.unknown_argument"],
	"a secret": [post({"text": "the API-key is 5"}), "deny", "chat.secret"],
	"everybody": [post({"text": "Hi <!channel>"}), "deny", "chat.mass_mention"],
	"everybody as typed": [post({"text": "Hi @here"}), "deny", "chat.mass_mention"],
	"everybody, hidden": [post({"text": "<!h\u200bere>"}), "deny", "chat.mass_mention"],
	"a group": [post({"text": "<!subteam^S1>"}), "deny", "chat.mass_mention"],
	"a person": [post({"text": "<@U1>"}), "allow", "policy.allowed"],
	"deleted": [call("slack.chat.delete", {"channel": "C0GENERAL", "ts": "1"}), "deny", "chat.tool"],
	"unknown": [call("slack.files.upload", {"channel": "C0GENERAL"}), "deny", "chat.tool"],
	"another chat": [{"tool": {"name": "irc.say", "sink": "chat"}}, "deny", "chat.tool"],
	"history": [call("slack.conversations.history", {"channel": "C0GENERAL", "limit": "5"}), "allow", "policy.allowed"],
	"history of another": [call("slack.conversations.history", {"channel": "C0SECRET"}), "deny", "chat.channel_not_allowed"],
	"people": [call("slack.users.list", {}), "allow", "policy.allowed"],
	"unreadable": [object.union(post({}), {"arguments_state": "opaque"}), "deny", null],
	"nothing at all": [{}, "deny", null],
}

decide(document, settings) := decision if {
	decision := egret.decision with input as document with data.config.chat as settings with data.yaml as {}
}

test_calls[name] if {
	some name, [document, outcome, code] in calls
	expected(decide(document, config), outcome, code)
}

expected(decision, outcome, null) if {
	decision.outcome == outcome
	decision.code == "policy.no_match"
}

expected(decision, outcome, code) if {
	decision.outcome == outcome
	code in [reason.code | some reason in decision.reasons]
}

# [call, settings, code of a reason]
settings := {
	"none": [post({}), {}, "chat.unconfigured"],
	"channels as a text": [post({}), object.union(config, {"channels": "C0GENERAL"}), "chat.unconfigured"],
	"words as a text": [post({}), object.union(config, {"secret_words": "x"}), "chat.unconfigured"],
	"no words": [post({}), object.remove(config, ["secret_words"]), "chat.unconfigured"],
	"people not opened": [call("slack.users.list", {}), object.remove(config, ["directory"]), "chat.tool"],
}

test_settings[name] if {
	some name, [document, setting, code] in settings
	expected(decide(document, setting), "deny", code)
}
