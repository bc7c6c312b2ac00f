package receipts_test

import data.egret

config := {
	"recipients": ["accountant@example.com", "backup@example.com"],
	"attachment_minutes_max": 30,
	"attachment_bytes_max": 20000000,
	"secret_words": ["api_key", "seed phrase", "private key"],
	"approval_subjects": ["invoice", "tax", "salary"],
	"approval_amount_over": 500,
	"inbox": "deny",
}

# The same policy in YAML, as an author writes it.
sketch := {
	"id": "email_receipts_to_accountant",
	"when": {"tool": "gmail.send"},
	"allow_if": {
		"to_in_allowlist": ["accountant@example.com", "backup@example.com"],
		"attachments": {"source": "explicit_user_upload", "max_age_minutes": 30, "max_total_mb": 20},
		"body": {"must_not_contain": ["api_key", "seed phrase", "private key"]},
	},
	"require_approval_if": {"subject_contains": ["invoice", "tax", "salary"]},
	"log": {"level": "full", "include_attachment_hashes": true},
}

good := {
	"tool": {"name": "gmail.send", "known": true, "operation": "write"},
	"arguments_state": "parsed",
	"arguments": {
		"to": ["accountant@example.com"],
		"cc": [],
		"bcc": [],
		"subject": "Receipts for October",
		"text": "Please find the receipts attached.",
		"html": "",
	},
	"attachments": [upload],
}

upload := {"name": "receipt.pdf", "media_type": "application/pdf", "bytes": 48211, "source": "explicit_user_upload", "age_minutes": 4.5}

mail(arguments) := object.union(good, {"arguments": object.union(good.arguments, arguments)})

attached(attachments) := object.union(good, {"attachments": [object.union(upload, change) | some change in attachments]})

tool(name) := object.union(good, {"tool": {"name": name}})

# [call, outcome, a reason's code in the Rego form, a reason's code in the YAML form]
calls := {
	"the receipts": [good, "allow", "policy.allowed", "policy.allowed"],
	"to the backup": [mail({"to": ["Backup@example.com"]}), "allow", "policy.allowed", "policy.allowed"],
	"nothing attached": [attached([]), "allow", "policy.allowed", "policy.allowed"],
	"an attachment of just 30 minutes": [attached([{"age_minutes": 30}]), "allow", "policy.allowed", "policy.allowed"],
	"wrong recipient": [mail({"to": ["eve@example.net"]}), "deny", "mail.recipient_not_allowed", "mail.recipient_not_allowed"],
	"nobody": [mail({"to": []}), "deny", "mail.recipient_not_allowed", "mail.recipient_not_allowed"],
	"also a wrong copy": [mail({"cc": ["eve@example.net"]}), "deny", "mail.recipient_not_allowed", "mail.recipient_not_allowed"],
	"hidden Bcc": [mail({"bcc": ["eve@example.net"]}), "deny", "mail.recipient_not_allowed", "mail.recipient_not_allowed"],
	"stale attachment": [attached([{"age_minutes": 30.001}]), "deny", "mail.attachment_stale", "mail.attachment_stale"],
	"attachment without age": [attached([{"age_minutes": null}]), "deny", "mail.attachment_stale", "mail.attachment_stale"],
	"unknown attachment": [
		attached([{}, {"source": "unknown", "age_minutes": null}]),
		"deny", "mail.attachment_unknown", "mail.attachment_unknown",
	],
	"too large together": [
		attached([{"bytes": 12000000}, {"bytes": 12000000}]),
		"deny", "mail.attachment_too_large", "mail.attachment_too_large",
	],
	"size unknown": [attached([{"bytes": null}]), "deny", "mail.attachment_too_large", "mail.attachment_too_large"],
	"secret in the body": [mail({"text": "the API-key is 5"}), "deny", "mail.secret", "mail.secret"],
	"secret in the HTML": [mail({"html": "<b>seed</b> phrase"}), "deny", "mail.secret", "mail.secret"],
	"secret in a file name": [attached([{"name": "private key.pem"}]), "deny", "mail.secret", "mail.secret"],
	"a subject of money": [mail({"subject": "Salary October"}), "require_approval", "approval.required", "approval.required"],
	"an invoice to somebody else": [
		mail({"subject": "invoice", "to": ["eve@example.net"]}),
		"deny", "mail.recipient_not_allowed", "mail.recipient_not_allowed",
	],
	"unknown tool": [tool("mail.forward_everything"), "deny", null, null],
	"a draft sent unseen": [tool("gmail.drafts.send"), "deny", null, null],
	"inbox listed": [tool("gmail.messages.list"), "deny", "mail.inbox", null],
	"inbox read": [tool("gmail.messages.get"), "deny", "mail.inbox", null],
	"nothing at all": [{}, "deny", null, null],
	"only a tool": [{"tool": {"name": "gmail.send"}}, "deny", "mail.recipient_not_allowed", "mail.recipient_not_allowed"],
}

as_rego(call) := decision if {
	decision := egret.decision with input as call with data.config.receipts as config with data.yaml as {}
}

as_yaml(call) := decision if {
	decision := egret.decision with input as call with data.policies as {} with data.yaml as {"policies": [sketch]}
}

test_in_rego[name] if {
	some name, [call, outcome, code, _] in calls
	expected(as_rego(call), outcome, code)
}

test_in_yaml[name] if {
	some name, [call, outcome, _, code] in calls
	expected(as_yaml(call), outcome, code)
}

expected(decision, outcome, null) if {
	decision.outcome == outcome
	decision.code == "policy.no_match"
}

expected(decision, outcome, code) if {
	decision.outcome == outcome
	code in [reason.code | some reason in decision.reasons]
}

test_an_unreadable_call_is_not_allowed if {
	call := object.union(good, {"arguments_state": "opaque"})
	as_rego(call).outcome == "deny"
	as_yaml(call).outcome == "deny"
}

test_without_configuration_nothing_is_sent if {
	decision := egret.decision with input as good with data.config.receipts as {} with data.yaml as {}
	decision.outcome == "deny"
}

test_both_log_fully if {
	log := [{"kind": "log", "level": "full", "include_attachment_hashes": true}]
	as_rego(good).obligations == log
	as_yaml(good).obligations == log
	as_yaml(mail({"to": ["eve@example.net"]})).obligations == log
}

# [amount, outcome]
amounts := {
	"small": [500, "allow"],
	"large": [500.01, "require_approval"],
	"a text": ["600", "require_approval"],
	"unreadable": [{"value": 1}, "require_approval"],
}

test_amount[name] if {
	some name, [amount, outcome] in amounts
	as_rego(mail({"amount": amount})).outcome == outcome
}

test_the_inbox_may_be_read_with_approval_when_configured if {
	decision := egret.decision with input as tool("gmail.messages.get")
		with data.config.receipts as object.union(config, {"inbox": "approval"})
		with data.yaml as {}
	decision.outcome == "require_approval"
}

broken_settings := {
	"words as a text": {"secret_words": "api_key"},
	"words that are numbers": {"secret_words": [5]},
	"subjects as a text": {"approval_subjects": "tax"},
	"minutes as a text": {"attachment_minutes_max": "30"},
	"bytes as a text": {"attachment_bytes_max": "20000000"},
	"an amount as a text": {"approval_amount_over": "500"},
}

test_broken_settings_deny[name] if {
	some name, change in broken_settings
	decision := egret.decision with input as good
		with data.config.receipts as object.union(config, change)
		with data.yaml as {}
	expected(decision, "deny", "mail.unconfigured")
}
