package mail_test

import data.egret

config := {"recipients": ["ada@example.com"], "secret_words": ["api_key"]}

mail := {
	"tool": {"name": "gmail.send", "known": true, "operation": "write"},
	"arguments_state": "parsed",
	"arguments": {
		"to": ["ada@example.com"],
		"cc": [],
		"bcc": [],
		"subject": "Hello",
		"text": "See you at ten.",
		"html": "",
	},
	"attachments": [],
}

to(recipient) := object.union(mail, {"arguments": {"to": [recipient]}})

test_mail_to_people_on_the_list_is_allowed if {
	decision := egret.decision with input as mail with data.config.mail as config
	decision.outcome == "allow"
}

test_mail_to_anybody_else_is_denied if {
	decision := egret.decision with input as to("eve@example.net") with data.config.mail as config
	decision.outcome == "deny"
	some reason in decision.reasons
	reason.code == "mail.recipient_not_allowed"
}

test_a_secret_stays_inside if {
	secret := object.union(mail, {"arguments": {"text": "the api_key is 7"}})
	decision := egret.decision with input as secret with data.config.mail as config
	decision.outcome == "deny"
}

test_without_settings_every_mail_is_denied if {
	decision := egret.decision with input as mail with data.config as {}
	decision.outcome == "deny"
}
