package starter_test

import data.egret

config := {"tools": ["github.issues.list"], "approval": ["github.issues.comment"]}

call(name, known) := {"tool": {"name": name, "known": known}, "arguments": {}, "arguments_state": "none"}

# [call, settings, outcome, code of a reason]
calls := {
	"listed": [call("github.issues.list", true), config, "allow", "policy.allowed"],
	"listed with approval": [call("github.issues.comment", true), config, "require_approval", "approval.required"],
	"listed twice": [
		call("github.issues.list", true),
		{"tools": ["github.issues.list"], "approval": ["github.issues.list"]},
		"require_approval", "approval.required",
	],
	"not listed": [call("gmail.send", true), config, "deny", "starter.not_listed"],
	"of that name and not in the catalogue": [call("github.issues.list", false), config, "deny", "starter.not_listed"],
	"unreadable": [
		object.union(call("github.issues.list", true), {"arguments_state": "opaque"}),
		config, "deny", null,
	],
	"without settings": [call("github.issues.list", true), {}, "deny", "starter.not_listed"],
	"a list that is a text": [call("github.issues.list", true), {"tools": "github.issues.list"}, "deny", "starter.not_listed"],
	"only with approval": [
		call("github.issues.comment", true),
		{"approval": ["github.issues.comment"]},
		"require_approval", "approval.required",
	],
	"nothing at all": [{}, config, "deny", "starter.not_listed"],
}

test_calls[name] if {
	some name, [document, settings, outcome, code] in calls
	decision := egret.decision with input as document with data.config.starter as settings with data.yaml as {}
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

test_the_tool_is_named if {
	decision := egret.decision with input as call("gmail.send", true)
		with data.config.starter as config
		with data.yaml as {}
	contains(decision.message, "gmail.send")
}
