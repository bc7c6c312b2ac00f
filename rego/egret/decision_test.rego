package egret_test

import data.egret

decide(policies) := decision if {
	decision := egret.decision with data.policies as policies with data.yaml as {}
}

# [what the policies say, outcome, code]
combining := {
	"nothing": [{}, "deny", "policy.no_match"],
	"an empty policy": [{"a": {}}, "deny", "policy.no_match"],
	"one allow": [{"a": {"allow": {"yes"}}}, "allow", "policy.allowed"],
	"two allows": [{"a": {"allow": {"yes"}}, "b": {"allow": {"yes too"}}}, "allow", "policy.allowed"],
	"an allow as an object": [{"a": {"allow": {{"message": "yes", "code": "a.b"}}}}, "allow", "policy.allowed"],
	"deny overrides allow": [{"a": {"allow": {"yes"}}, "b": {"deny": {"no"}}}, "deny", "policy.denied"],
	"deny overrides approval": [
		{"a": {"allow": {"yes"}, "require_approval": {"ask"}}, "b": {"deny": {"no"}}},
		"deny", "policy.denied",
	],
	"approval overrides allow": [
		{"a": {"allow": {"yes"}}, "b": {"require_approval": {"ask"}}},
		"require_approval", "approval.required",
	],
	"approval cannot grant what nothing allows": [{"a": {"require_approval": {"ask"}}}, "deny", "policy.no_match"],
	"a warning decides nothing": [{"a": {"warn": {"hm"}}}, "deny", "policy.no_match"],
	"an obligation decides nothing": [{"a": {"redact": {"/arguments/text"}}}, "deny", "policy.no_match"],
	"helper rules decide nothing": [
		{"a": {"allow": {"yes"}, "config": {"limit": 5}, "names": {"deny"}, "flag": true}},
		"allow", "policy.allowed",
	],
}

test_combining[name] if {
	some name, [policies, outcome, code] in combining
	decision := decide(policies)
	decision.outcome == outcome
	decision.code == code
	decision.allowed == object.get({"allow": true}, outcome, false)
}

# Each beside an allow, which it must override.
bad_policies := {
	"a number in allow": {"allow": {"yes", 5}},
	"a number in deny": {"deny": {5}},
	"null in require_approval": {"require_approval": {null}},
	"a boolean in warn": {"warn": {true}},
	"an array in deny": {"deny": {["no"]}},
	"an object without message": {"deny": {{"code": "a.b"}}},
	"a message that is no text": {"deny": {{"message": 5}}},
	"a code that is no text": {"allow": {{"message": "yes", "code": 5}}},
	"a rule that is no text": {"allow": {{"message": "yes", "rule": 5}}},
	"a boolean instead of a set": {"allow": true},
	"a false boolean instead of a set": {"deny": false},
	"an array instead of a set": {"deny": ["no"]},
	"an object instead of a set": {"redact": {"path": "/arguments/a"}},
	"a package below the policy": {"nested": {"deny": {"no"}}},
	"a log level that nobody knows": {"log": {"everything"}},
	"a log flag that is no boolean": {"log": {{"level": "full", "include_attachment_hashes": "yes"}}},
	"log fields that are no pointers": {"log": {{"level": "full", "fields": ["subject"]}}},
	"log fields that are no array": {"log": {{"level": "full", "fields": "/arguments/subject"}}},
	"log fields that are false": {"log": {{"level": "full", "fields": false}}},
	"a log item without level": {"log": {{"include_attachment_hashes": true}}},
	"a redaction outside the arguments": {"redact": {"/tool/name"}},
	"a redaction without path": {"redact": {{"replacement": "x"}}},
	"a patch without op": {"patch": {{"path": "/arguments/a", "value": 1}}},
	"a patch with an unknown op": {"patch": {{"path": "/arguments/a", "op": "move"}}},
	"a patch that is a text": {"patch": {"/arguments/a"}},
	"a header without value": {"header": {{"name": "x-team"}}},
	"a limit that is a text": {"limit": {"ten"}},
	"a label that is a number": {"label": {5}},
}

test_bad_items_deny[name] if {
	some name, policy in bad_policies
	decision := decide({"good": {"allow": {"yes"}}, "bad": policy})
	decision.outcome == "deny"
	decision.code == "policy.denied"
	some reason in decision.reasons
	reason.code == "policy.bad_item"
	contains(reason.policy, "bad")
}

test_rules_in_the_package_of_all_policies_deny if {
	decision := decide({"good": {"allow": {"yes"}}, "deny": {"no"}})
	decision.code == "policy.denied"
	decision.reasons[0].code == "policy.bad_item"
}

test_empty_input_denies if {
	egret.decision == {
		"allowed": false,
		"outcome": "deny",
		"code": "policy.no_match",
		"message": "no policy allows this call",
		"reasons": [],
		"obligations": [],
		"warnings": [],
	} with input as {}
		with data.policies as {}
		with data.yaml as {}
}

test_no_policies_and_no_yaml_at_all_deny if {
	egret.decision.code == "policy.no_match" with input as null
}

test_reasons_are_sorted_and_name_policy_and_rule if {
	decision := decide({
		"b": {"deny": {"second", {"message": "first", "code": "mail.secret", "rule": "secrets"}}},
		"a": {"deny": {"third"}, "allow": {"yes"}},
	})
	decision.reasons == [
		{"code": "mail.secret", "policy": "b", "rule": "secrets", "message": "first"},
		{"code": "policy.denied", "policy": "b", "rule": "deny", "message": "second"},
		{"code": "policy.denied", "policy": "a", "rule": "deny", "message": "third"},
	]
	decision.message == "first; second; third"
}

test_reasons_and_message_are_bounded if {
	decision := decide({"a": {"deny": {message | some n in numbers.range(1, 100); message := $"no {n}"}}})
	count(decision.reasons) == 64
	count(split(decision.message, ";")) == 4
}

test_warnings_are_sorted_texts if {
	decide({"a": {"warn": {"b", {"message": "a"}}, "allow": {"yes"}}}).warnings == ["a", "b"]
}

all_obligations := {
	"header": {{"name": "x-team", "value": "finance"}},
	"label": {"internal", {"label": "pii", "at": "/arguments/text"}},
	"limit": {{"name": "mails", "max": 5}},
	"log": {"metadata", {"level": "full", "include_attachment_hashes": true, "fields": ["/arguments/to"]}},
	"patch": {{"op": "add", "path": "/arguments/footer", "value": "sent by an agent"}},
	"redact": {"/arguments/iban", {"path": "/arguments/card", "replacement": "[card]"}},
}

test_obligations_of_an_allow if {
	decide({"a": object.union({"allow": {"yes"}}, all_obligations)}).obligations == [
		{"at": "/arguments/text", "kind": "label", "label": "pii"},
		{"fields": ["/arguments/to"], "include_attachment_hashes": true, "kind": "log", "level": "full"},
		{"include_attachment_hashes": false, "kind": "log", "level": "metadata"},
		{"kind": "header", "name": "x-team", "value": "finance"},
		{"kind": "label", "label": "internal"},
		{"kind": "limit", "max": 5, "name": "mails"},
		{"kind": "patch", "op": "add", "path": "/arguments/footer", "value": "sent by an agent"},
		{"kind": "redact", "path": "/arguments/card", "replacement": "[card]"},
		{"kind": "redact", "path": "/arguments/iban"},
	]
}

test_an_item_cannot_rename_its_kind if {
	policies := {"a": {"allow": {"yes"}, "redact": {{"path": "/arguments/a", "kind": "log"}}}}
	decide(policies).obligations == [{"kind": "redact", "path": "/arguments/a"}]
}

test_a_refusal_keeps_only_what_is_to_be_logged[outcome] if {
	some outcome, rules in {
		"deny": {"deny": {"no"}},
		"require_approval": {"allow": {"yes"}, "require_approval": {"ask"}},
	}
	decision := decide({"a": object.union(rules, all_obligations)})
	decision.outcome == outcome
	{obligation.kind | some obligation in decision.obligations} == {"log"}
	count(decision.obligations) == 2
}
