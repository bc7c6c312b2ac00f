package mcp_session_test

import data.egret

call(tool) := {
	"tool": object.union({"server": "mail", "known": true}, tool),
	"mcp": {"version": "2025-11-25", "method": "any"},
}

# [call, outcome]
calls := {
	"a session": [call({"operation": "connect"}), "allow"],
	"a list": [call({"operation": "list"}), "allow"],
	"another server": [call({"operation": "list", "server": "files"}), "deny"],
	"no server": [call({"operation": "connect", "server": null}), "deny"],
	"a resource": [call({"operation": "read"}), "deny"],
	"a tool": [call({"operation": "write"}), "deny"],
	"an unknown method": [call({"operation": "connect", "known": false}), "deny"],
	"a tunnel": [object.union(call({"operation": "connect"}), {"mcp": null}), "deny"],
	"nothing at all": [{}, "deny"],
}

test_calls[name] if {
	some name, [document, outcome] in calls
	decision := egret.decision with input as document with data.config.mcp.servers as ["mail"] with data.yaml as {}
	decision.outcome == outcome
}
