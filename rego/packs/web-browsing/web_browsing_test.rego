package web_browsing_test

import data.egret

config := {"hosts": ["docs.example.com", "*.example.org"]}

page := {
	"tool": {"name": "http.get", "known": false, "operation": "unknown"},
	"arguments": {"q": "egret"},
	"arguments_state": "parsed",
	"destination": {"scheme": "https", "host": "docs.example.com", "port": 443, "path": "/", "ip_class": null},
	"http": {"method": "GET", "headers": {}},
}

at(change) := object.union(page, {"destination": object.union(page.destination, change)})

on(host) := object.union(at({"host": host}), {"settings": {"hosts": [host]}})

# [call, outcome, code of a reason]; a call may bring settings of its own
calls := {
	"a page": [page, "allow", "policy.allowed"],
	"a page below": [at({"host": "www.example.org"}), "allow", "policy.allowed"],
	"a page far below": [at({"host": "a.b.example.org"}), "allow", "policy.allowed"],
	"at a public address": [at({"ip_class": "public"}), "allow", "policy.allowed"],
	"not itself below": [at({"host": "example.org"}), "deny", "web.host_not_allowed"],
	"a name that ends alike": [at({"host": "badexample.org"}), "deny", "web.host_not_allowed"],
	"another host": [at({"host": "docs.example.com.example.net"}), "deny", "web.host_not_allowed"],
	"at a private address": [at({"ip_class": "private"}), "deny", "web.private_host"],
	"an address": [on("10.0.0.1"), "deny", "web.private_host"],
	"an address in one number": [on("http.2130706433"), "deny", "web.private_host"],
	"an IPv6 address": [on("[::1]"), "deny", "web.private_host"],
	"one label": [on("localhost"), "deny", "web.private_host"],
	"a private name": [on("db.internal"), "deny", "web.private_host"],
	"every name": [object.union(page, {"settings": {"hosts": ["*"]}}), "deny", "web.host_not_allowed"],
	"every name of one end": [object.union(page, {"settings": {"hosts": ["*.com"]}}), "deny", "web.host_not_allowed"],
	"a star and two dots": [object.union(page, {"settings": {"hosts": ["*..com"]}}), "deny", "web.host_not_allowed"],
	"without settings": [object.union(page, {"settings": {"hosts": []}}), "deny", "web.unconfigured"],
	"a list that is a text": [object.union(page, {"settings": {"hosts": "docs.example.com"}}), "deny", "web.unconfigured"],
	"plain HTTP": [at({"scheme": "http", "port": 80}), "deny", "web.port"],
	"another port": [at({"port": 8443}), "deny", "web.port"],
	"POST": [
		object.union(page, {"tool": {"name": "http.post"}, "http": {"method": "POST"}}),
		"deny", "web.method",
	],
	"a WebSocket": [object.union(page, {"http": {"headers": {"upgrade": ["websocket"]}}}), "deny", "web.method"],
	"a body": [object.union(page, {"arguments_state": "opaque"}), "deny", "web.method"],
	"a large body": [object.union(page, {"arguments_state": "too_large"}), "deny", "web.method"],
	"a tool of the catalogue": [object.union(page, {"tool": {"name": "gmail.messages.get", "known": true}}), "deny", null],
	"nothing at all": [{}, "deny", null],
}

test_calls[name] if {
	some name, [document, outcome, code] in calls
	decision := egret.decision with input as object.remove(document, ["settings"])
		with data.config.web_browsing as object.get(document, "settings", config)
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
