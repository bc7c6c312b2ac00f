package egret.yaml_test

import data.egret

decide(policies, call) := decision if {
	decision := egret.decision with input as call with data.policies as {} with data.yaml as {"policies": policies}
}

call := {
	"tool": {"name": "gmail.send", "server": "mail", "operation": "write", "risk": "high", "known": true},
	"environment": "prod",
	"agent": {"id": "receipts-bot"},
	"arguments_state": "parsed",
	"arguments": {
		"to": ["a@example.com"],
		"cc": ["b@example.com"],
		"subject": "Monthly report",
		"text": "All is well.",
		"amount": 40,
		"force": "TRUE",
		"deep": {"a/b": {"n": "7"}},
		"tags": ["red", "Green"],
	},
	"attachments": [{"name": "a.pdf", "media_type": "application/pdf", "bytes": 1500000, "source": "explicit_user_upload", "age_minutes": 3}],
}

# [when, matches the call]
whens := {
	"the tool": [{"tool": "gmail.send"}, true],
	"another tool": [{"tool": "gmail.get"}, false],
	"a prefix": [{"tool": "gmail.*"}, true],
	"another prefix": [{"tool": "slack.*"}, false],
	"a name that is no prefix": [{"tool": "gmail"}, false],
	"everything": [{"tool": "*"}, true],
	"a list": [{"tool": ["slack.*", "gmail.send"]}, true],
	"a list with a prefix": [{"tool": ["slack.send", "gmail.*"]}, true],
	"another list": [{"tool": ["slack.*", "gmail.get"]}, false],
	"all lines": [
		{"tool": "gmail.*", "server": "mail", "operation": ["write"], "environment": "prod", "agent": "receipts-*", "risk": "high", "known": true},
		true,
	],
	"one line off": [{"tool": "gmail.*", "environment": "staging"}, false],
	"unknown tools": [{"known": false}, false],
}

test_when[name] if {
	some name, [when, matches] in whens
	decision := decide([{"id": "p", "when": when, "allow_if": "always"}], call)
	decision.allowed == matches
}

# [requirements, hold]
requirements := {
	"to_in_allowlist": [{"to_in_allowlist": ["A@example.com", "b@example.com"]}, true],
	"to_in_allowlist, one missing": [{"to_in_allowlist": ["a@example.com"]}, false],
	"to_domain_in": [{"to_domain_in": ["example.com"]}, true],
	"to_domain_in, another": [{"to_domain_in": ["example.net"]}, false],
	"source": [{"attachments": {"source": "explicit_user_upload"}}, true],
	"source, another": [{"attachments": {"source": "drive"}}, false],
	"max_age_minutes": [{"attachments": {"max_age_minutes": 3}}, true],
	"max_age_minutes, too old": [{"attachments": {"max_age_minutes": 2.9}}, false],
	"max_total_mb": [{"attachments": {"max_total_mb": 1.5}}, true],
	"max_total_mb, too large": [{"attachments": {"max_total_mb": 1.4}}, false],
	"max_count": [{"attachments": {"max_count": 1}}, true],
	"max_count, too many": [{"attachments": {"max_count": 0}}, false],
	"media_types": [{"attachments": {"media_types": ["image/*", "application/pdf"]}}, true],
	"media_types, a prefix": [{"attachments": {"media_types": "application/*"}}, true],
	"media_types, another": [{"attachments": {"media_types": ["image/*"]}}, false],
	"must_not_contain": [{"body": {"must_not_contain": ["secret"]}}, true],
	"must_not_contain, contained": [{"body": {"must_not_contain": ["secret", "is well"]}}, false],
	"must_contain": [{"body": {"must_contain": ["is well", "report"]}}, true],
	"must_contain, one missing": [{"body": {"must_contain": ["is well", "urgent"]}}, false],
	"subject_contains": [{"subject_contains": ["urgent", "REPORT"]}, true],
	"subject_contains, none": [{"subject_contains": ["urgent"]}, false],
	"amount_at_most": [{"amount_at_most": 40}, true],
	"amount_at_most, over": [{"amount_at_most": 39}, false],
	"argument equals": [{"argument": {"amount": {"equals": 40}}}, true],
	"argument equals, another type": [{"argument": {"amount": {"equals": "40"}}}, false],
	"argument in": [{"argument": {"force": {"in": ["TRUE", "FALSE"]}}}, true],
	"argument in, another": [{"argument": {"force": {"in": [true]}}}, false],
	"argument matches": [{"argument": {"/deep/a~1b/n": {"matches": "7*"}}}, true],
	"argument matches, another": [{"argument": {"/deep/a~1b/n": {"matches": ["8*"]}}}, false],
	"argument between": [{"argument": {"amount": {"at_least": 40, "at_most": 40}}}, true],
	"argument between, below": [{"argument": {"amount": {"at_least": 41, "at_most": 50}}}, false],
	"argument as a text between": [{"argument": {"/deep/a~1b/n": {"at_least": 7, "at_most": 7}}}, true],
	"argument that is not there": [{"argument": {"nothing": {"equals": ""}}}, false],
	"two arguments": [{"argument": {"amount": {"equals": 40}, "force": {"equals": true}}}, false],
	"all of several": [{"amount_at_most": 40, "subject_contains": ["report"]}, true],
	"one of several off": [{"amount_at_most": 40, "subject_contains": ["urgent"]}, false],
}

test_requirements[name] if {
	some name, [block, hold] in requirements
	decision := decide([{"id": "p", "when": {"tool": "*"}, "allow_if": block}], call)
	decision.allowed == hold
	count(decision.reasons) > 0
	decision.code == {true: "policy.allowed", false: "policy.no_match"}[hold]
}

# [triggers, fire]
triggers := {
	"to_includes": [{"to_includes": ["B@example.com"]}, true],
	"to_includes, nobody": [{"to_includes": ["c@example.com"]}, false],
	"to_domain_includes": [{"to_domain_includes": ["example.com"]}, true],
	"to_domain_includes, none": [{"to_domain_includes": ["example.net"]}, false],
	"to_not_in_allowlist": [{"to_not_in_allowlist": ["a@example.com"]}, true],
	"to_not_in_allowlist, all in": [{"to_not_in_allowlist": ["a@example.com", "b@example.com"]}, false],
	"to_domain_not_in": [{"to_domain_not_in": ["example.net"]}, true],
	"to_domain_not_in, all in": [{"to_domain_not_in": ["example.com"]}, false],
	"subject_contains": [{"subject_contains": ["monthly"]}, true],
	"subject_contains, none": [{"subject_contains": ["yearly"]}, false],
	"body_contains": [{"body_contains": ["allis"]}, true],
	"body_contains, none": [{"body_contains": ["nothing"]}, false],
	"amount_over": [{"amount_over": 39.99}, true],
	"amount_over, not": [{"amount_over": 40}, false],
	"argument equals loosely": [{"argument": {"force": {"equals": true}}}, true],
	"argument equals, not": [{"argument": {"force": {"equals": false}}}, false],
	"argument in a list of the call": [{"argument": {"tags": {"in": ["green", "blue"]}}}, true],
	"argument in, not": [{"argument": {"tags": {"in": ["blue"]}}}, false],
	"argument matches": [{"argument": {"force": {"matches": ["tr*"]}}}, true],
	"argument matches, not": [{"argument": {"force": {"matches": "fa*"}}}, false],
	"argument over": [{"argument": {"amount": {"over": 39}}}, true],
	"argument over, not": [{"argument": {"amount": {"over": 40}}}, false],
	"argument over that cannot be read": [{"argument": {"force": {"over": 40}}}, true],
	"argument under": [{"argument": {"amount": {"under": 41}}}, true],
	"argument under, not": [{"argument": {"amount": {"under": 40}}}, false],
	"argument under that cannot be read": [{"argument": {"force": {"under": 40}}}, true],
	"argument that is not there": [{"argument": {"nothing": {"equals": ""}}}, false],
	"one of several": [{"amount_over": 500, "subject_contains": ["monthly"]}, true],
	"always": ["always", true],
}

allow_all := {"id": "all", "when": {"tool": "*"}, "allow_if": "always"}

test_triggers_of_deny_if[name] if {
	some name, [block, fire] in triggers
	decision := decide([allow_all, {"id": "p", "when": {"tool": "*"}, "deny_if": block}], call)
	decision.outcome == {true: "deny", false: "allow"}[fire]
	decision.code == {true: "policy.denied", false: "policy.allowed"}[fire]
}

test_triggers_of_require_approval_if[name] if {
	some name, [block, fire] in triggers
	decision := decide([allow_all, {"id": "p", "when": {"tool": "*"}, "require_approval_if": block}], call)
	decision.outcome == {true: "require_approval", false: "allow"}[fire]
}

test_triggers_fire_on_what_cannot_be_read[name] if {
	some name, [block, _] in triggers
	opaque := object.union(call, {"arguments_state": "opaque"})
	decide([allow_all, {"id": "p", "when": {"tool": "*"}, "deny_if": block}], opaque).outcome == "deny"
}

test_hidden_letters_are_not_the_words_that_must_be_there if {
	policies := [{"id": "p", "when": {"tool": "*"}, "allow_if": {"body": {"must_contain": ["approved"]}}}]
	decide(policies, object.union(call, {"arguments": {"html": "&#97;pprove"}})).outcome == "deny"
	decide(policies, object.union(call, {"arguments": {"html": "approved"}})).outcome == "allow"
}

test_an_amount_of_the_wrong_type_fires if {
	policies := [allow_all, {"id": "p", "when": {"tool": "*"}, "deny_if": {"amount_over": 40}}]
	decide(policies, object.union(call, {"arguments": {"amount": {"value": 1}}})).outcome == "deny"
	decide(policies, object.union(call, {"arguments": {"amount": "41"}})).outcome == "deny"
	decide(policies, object.union(call, {"arguments": {"amount": "40"}})).outcome == "allow"
}

test_the_title_is_the_message if {
	decision := decide([object.union(allow_all, {"title": "Everything goes"})], call)
	decision.message == "Everything goes"
}

test_a_near_miss_says_which_requirement if {
	decision := decide([{"id": "p", "when": {"tool": "*"}, "allow_if": {"amount_at_most": 1}}], call)
	decision.reasons == [{
		"code": "call.amount",
		"policy": "p",
		"rule": "allow_if.amount_at_most",
		"message": "the amount is missing or too high",
	}]
	decision.message == "no policy allows this call: the amount is missing or too high"
}

test_log_alone_decides_nothing if {
	decision := decide([{"id": "p", "when": {"tool": "*"}, "log": {"level": "metadata"}}], call)
	decision.code == "policy.no_match"
	decision.obligations == [{"kind": "log", "level": "metadata", "include_attachment_hashes": false}]
}

test_files_of_their_own if {
	egret.decision.allowed with input as call with data.policies as {} with data.yaml as {"mail": {"policies": [allow_all]}}
}

# [policy, path of an error below the policy]; each also stands beside a policy that allows everything.
malformed := {
	"no map": [5, ""],
	"no id": [{"when": {"tool": "*"}, "allow_if": "always"}, ""],
	"no when": [{"id": "p", "allow_if": "always"}, ""],
	"no effect": [{"id": "p", "when": {"tool": "*"}}, ""],
	"an id that is no text": [patched({"id": 5}), "/id"],
	"a title that is no text": [patched({"title": 5}), "/title"],
	"an unknown key": [patched({"deny_iff": {}}), "/deny_iff"],
	"when is a text": [{"id": "p", "when": "gmail.send", "allow_if": "always"}, "/when"],
	"when is empty": [{"id": "p", "when": {}, "allow_if": "always"}, "/when"],
	"when has an unknown key": [patched({"when": {"tol": "slack.send"}}), "/when/tol"],
	"when has a number": [patched({"when": {"tool": 5}}), "/when/tool"],
	"when has a star inside": [patched({"when": {"tool": "gm*il"}}), "/when/tool"],
	"when has an empty list": [patched({"when": {"tool": []}}), "/when/tool"],
	"when has a text for a boolean": [patched({"when": {"known": "yes"}}), "/when/known"],
	"allow_if is null": [{"id": "p", "when": {"tool": "*"}, "allow_if": null}, "/allow_if"],
	"allow_if is empty": [{"id": "p", "when": {"tool": "*"}, "allow_if": {}}, "/allow_if"],
	"allow_if is another word": [{"id": "p", "when": {"tool": "*"}, "allow_if": "never"}, "/allow_if"],
	"allow_if has an unknown key": [allowing({"to_in_allow_list": ["a@example.com"]}), "/allow_if/to_in_allow_list"],
	"a trigger in allow_if": [allowing({"amount_over": 5}), "/allow_if/amount_over"],
	"an allowlist that is a text": [allowing({"to_in_allowlist": "a@example.com"}), "/allow_if/to_in_allowlist"],
	"an allowlist with a number": [allowing({"to_in_allowlist": ["a@example.com", "b@example.com", 5]}), "/allow_if/to_in_allowlist"],
	"an address that is none": [allowing({"to_in_allowlist": ["example.com"]}), "/allow_if/to_in_allowlist"],
	"a domain with a star": [allowing({"to_domain_in": ["*.example.com"]}), "/allow_if/to_domain_in"],
	"attachments is a text": [allowing({"attachments": "any"}), "/allow_if/attachments"],
	"attachments is empty": [allowing({"attachments": {}}), "/allow_if/attachments"],
	"attachments has an unknown key": [allowing({"attachments": {"max_age": 5}}), "/allow_if/attachments/max_age"],
	"a maximum that is a text": [allowing({"attachments": {"max_count": "5"}}), "/allow_if/attachments/max_count"],
	"a negative maximum": [allowing({"attachments": {"max_count": -1}}), "/allow_if/attachments/max_count"],
	"a maximum that is null": [allowing({"attachments": {"max_total_mb": null}}), "/allow_if/attachments/max_total_mb"],
	"a media type that is a number": [allowing({"attachments": {"media_types": [5]}}), "/allow_if/attachments/media_types"],
	"words that are a text": [allowing({"body": {"must_not_contain": "secret"}}), "/allow_if/body/must_not_contain"],
	"words with a number": [allowing({"body": {"must_not_contain": ["secret", 5]}}), "/allow_if/body/must_not_contain"],
	"no words": [allowing({"body": {"must_not_contain": []}}), "/allow_if/body/must_not_contain"],
	"words of nothing": [allowing({"body": {"must_not_contain": ["- _"]}}), "/allow_if/body/must_not_contain"],
	"required words of nothing": [allowing({"subject_contains": ["*"]}), "/allow_if/subject_contains"],
	"argument is a list": [allowing({"argument": [5]}), "/allow_if/argument"],
	"an argument without tests": [allowing({"argument": {"amount": 40}}), "/allow_if/argument/amount"],
	"an argument with an unknown test": [allowing({"argument": {"amount": {"is": 40}}}), "/allow_if/argument/amount/is"],
	"an argument with a null": [allowing({"argument": {"nothing": {"equals": null}}}), "/allow_if/argument/nothing/equals"],
	"deny_if is null": [patched({"deny_if": null}), "/deny_if"],
	"deny_if is another word": [patched({"deny_if": "never"}), "/deny_if"],
	"deny_if is empty": [patched({"deny_if": {}}), "/deny_if"],
	"deny_if has an unknown key": [patched({"deny_if": {"to": ["c@example.com"]}}), "/deny_if/to"],
	"a requirement in deny_if": [patched({"deny_if": {"to_in_allowlist": ["a@example.com"]}}), "/deny_if/to_in_allowlist"],
	"a limit that is a text": [patched({"deny_if": {"amount_over": "500"}}), "/deny_if/amount_over"],
	"a trigger without tests": [patched({"deny_if": {"argument": {"amount": 500}}}), "/deny_if/argument/amount"],
	"a trigger with an unknown test": [patched({"deny_if": {"argument": {"amount": {"above": 500}}}}), "/deny_if/argument/amount/above"],
	"a trigger of words of nothing": [patched({"deny_if": {"body_contains": [" "]}}), "/deny_if/body_contains"],
	"approval with an unknown key": [patched({"require_approval_if": {"subject": ["x"]}}), "/require_approval_if/subject"],
	"approval with a list": [patched({"require_approval_if": ["subject_contains"]}), "/require_approval_if"],
	"log is null": [patched({"log": null}), "/log"],
	"log with an unknown level": [patched({"log": {"level": "all"}}), "/log/level"],
	"log with an unknown key": [patched({"log": {"levels": "full"}}), "/log/levels"],
	"log with a field that is no pointer": [patched({"log": {"level": "full", "fields": ["to"]}}), "/log/fields"],
}

patched(patch) := object.union({"id": "p", "when": {"tool": "*"}, "allow_if": "always"}, patch)

allowing(block) := {"id": "p", "when": {"tool": "*"}, "allow_if": block}

test_malformed_policies_deny[name] if {
	some name, [policy, path] in malformed
	decision := decide([allow_all, policy], call)
	decision.outcome == "deny"
	decision.code == "policy.denied"
	$"yaml/data.yaml#/policies/1{path}" in [reason.policy | some reason in decision.reasons; reason.code == "policy.bad_yaml"]
}

test_malformed_policies_are_listed[name] if {
	some name, [policy, path] in malformed
	errors := egret.yaml.errors with data.yaml as {"policies": [allow_all, policy]}
	$"yaml/data.yaml#/policies/1{path}" in [error.path | some error in errors]
	every error in errors {
		is_string(error.found)
		is_string(error.expected)
	}
}

# A malformed policy about other calls denies those, not this one.
test_malformed_policies_deny_only_what_they_match if {
	policy := {"id": "p", "when": {"tool": "slack.*"}, "allow_if": {"nonsense": 1}}
	decide([allow_all, policy], call).allowed
	not decide([allow_all, policy], object.union(call, {"tool": {"name": "slack.send"}})).allowed
}

# [data.yaml, path of the error]
malformed_files := {
	"policies is a map": [{"policies": {"a": 1}}, "yaml/data.yaml"],
	"a file without policies": [{"mail": {"rules": []}}, "yaml/mail/data.yaml"],
	"a file with more than policies": [{"mail": {"policies": [], "more": 1}}, "yaml/mail/data.yaml"],
	"a file that is a list": [{"mail": []}, "yaml/mail/data.yaml"],
	"a file whose policies are null": [{"mail": {"policies": null}}, "yaml/mail/data.yaml"],
	"a file too deep": [{"mail": {"more": {"policies": []}}}, "yaml/mail/data.yaml"],
}

test_malformed_files_deny[name] if {
	some name, [content, path] in malformed_files
	decision := egret.decision with input as call
		with data.policies as {"all": {"allow": {"yes"}}}
		with data.yaml as content
	decision.code == "policy.denied"
	errors := egret.yaml.errors with data.yaml as content
	path in [error.path | some error in errors]
}

test_well_formed_policies_have_no_errors[name] if {
	some name, policy in object.union(
		{$"requirement {key}": {"id": "p", "when": {"tool": "*"}, "allow_if": block} | some key, [block, _] in requirements},
		{$"trigger {key}": {"id": "p", "when": {"tool": "*"}, "deny_if": block} | some key, [block, _] in triggers},
	)
	errors := egret.yaml.errors with data.yaml as {"policies": [policy]}
	errors == []
}

test_ids_are_unique if {
	errors := egret.yaml.errors with data.yaml as {"policies": [allow_all, allow_all]}
	[error.path | some error in errors] == ["yaml/data.yaml#/policies/0/id", "yaml/data.yaml#/policies/1/id"]
}

test_no_yaml_has_no_errors if {
	errors := egret.yaml.errors with data.yaml as {}
	errors == []
}
