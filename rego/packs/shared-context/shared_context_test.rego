package shared_context_test

import data.egret

config := {
	"labels": ["public", "internal", "secret"],
	"shared_labels": ["public", "internal"],
	"user_label": "private",
	"tools": {"keep": ["memory.keep"], "recall": ["memory.recall"], "speak": ["slack.chat.postMessage"]},
	"secret_words": ["api_key"],
	"retention_seconds_max": 3600,
}

call(name, scope, arguments) := {
	"tool": {"name": name, "known": true},
	"arguments": arguments,
	"arguments_state": "parsed",
	"scope": scope,
	"context": {"labels": [], "inputs": []},
}

ada := {"kind": "user", "id": "ada"}

room := {"kind": "shared", "id": "room-1"}

note := {"scope": "user", "owner": "ada", "label": "secret", "text": "My key is api_key 5."}

shared_note := {"scope": "shared", "owner": "room-1", "label": "internal", "text": "Meet at ten.", "retention_seconds": 3600}

keep(change) := call("memory.keep", ada, object.union(note, change))

share(change) := call("memory.keep", room, object.union(shared_note, change))

recall(scope, change) := call("memory.recall", scope, object.union({"scope": scope.kind, "owner": scope.id}, change))

say(scope) := call("slack.chat.postMessage", scope, {"channel": "C0GENERAL", "text": "Meet at ten."})

having_read(document, labels) := object.union(document, {"context": {"labels": labels}})

# [call, outcome, code of a reason]
calls := {
	"a note of one's own": [keep({}), "allow", "policy.allowed"],
	"a note of another": [keep({"owner": "bob"}), "deny", "context.other_scope"],
	"a note from a user to a room": [keep({"scope": "shared", "owner": "room-1"}), "deny", "context.other_scope"],
	"a note without label": [keep({"label": null}), "deny", "context.label_missing"],
	"a note with another label": [keep({"label": "fun"}), "deny", "context.label_missing"],
	"a shared note": [share({}), "allow", "policy.allowed"],
	"a shared note after public reading": [having_read(share({}), ["public"]), "allow", "policy.allowed"],
	"a shared note after private reading": [having_read(share({}), ["public", "private"]), "deny", "context.not_for_sharing"],
	"a shared note after nobody knows what": [having_read(share({}), null), "deny", "context.not_for_sharing"],
	"a shared secret": [share({"label": "secret"}), "deny", "context.not_for_sharing"],
	"a shared note with a key": [share({"text": "the API-key is 5"}), "deny", "context.secret"],
	"a shared note for long": [share({"retention_seconds": 3601}), "deny", "context.retention"],
	"a shared note for ever": [share({"retention_seconds": null}), "deny", "context.retention"],
	"recalled in the room": [recall(room, {}), "allow", "policy.allowed"],
	"recalled in another room": [recall(room, {"owner": "room-2"}), "deny", "context.other_scope"],
	"a user recalled in the room": [recall(room, {"scope": "user", "owner": "ada"}), "deny", "context.other_scope"],
	"recalled by the user": [recall(ada, {}), "allow", "policy.allowed"],
	"recalled of another user": [recall(ada, {"owner": "bob"}), "deny", "context.other_scope"],
	"said in the room": [say(room), "allow", "policy.allowed"],
	"said in the room after private reading": [having_read(say(room), ["private"]), "deny", "context.not_for_sharing"],
	"said from a user's run": [say(ada), "deny", "context.other_scope"],
	"without a scope": [keep({"owner": null}), "deny", "context.other_scope"],
	"in a run without scope": [object.union(share({}), {"scope": {"kind": "none", "id": null}}), "deny", "context.scope_unknown"],
	"in a run whose scope has no name": [object.union(share({}), {"scope": {"id": ""}}), "deny", "context.scope_unknown"],
	"unreadable": [object.union(share({}), {"arguments_state": "opaque"}), "deny", null],
	"another tool": [call("gmail.send", ada, {}), "deny", null],
	"nothing at all": [{}, "deny", null],
}

decide(document, settings) := decision if {
	decision := egret.decision with input as document with data.config.shared_context as settings with data.yaml as {}
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

# [settings beside the usual ones, code of a reason]
settings := {
	"labels as a text": [{"labels": "internal"}, "context.unconfigured"],
	"shared labels as a text": [{"shared_labels": "internal"}, "context.unconfigured"],
	"words as a text": [{"secret_words": "x"}, "context.unconfigured"],
	"no label of the user": [{"user_label": null}, "context.unconfigured"],
	"tools as a text": [{"tools": {"speak": "x"}}, "context.unconfigured"],
	"a maximum that is a text": [{"retention_seconds_max": "9"}, "context.unconfigured"],
}

test_settings[name] if {
	some name, [change, code] in settings
	expected(decide(share({}), object.union(config, change)), "deny", code)
}

test_without_settings_nothing_is_shared if {
	expected(decide(share({}), {}), "deny", null)
}

test_recalling_what_is_the_users_labels_the_run if {
	{"kind": "label", "label": "private"} in decide(recall(ada, {}), config).obligations
	labels := [one | some one in decide(recall(room, {}), config).obligations; one.kind == "label"]
	labels == []
}
