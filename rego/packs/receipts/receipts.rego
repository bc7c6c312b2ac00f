# METADATA
# title: Receipts to the accountant
# description: >-
#   Receipts go to the accountant, and nothing else leaves by mail. Says the same as the YAML policy in
#   packs/receipts-yaml, and more where the settings ask for it: approval above an amount, and reading the inbox with
#   approval. Without settings it denies. Settings: data.config.receipts.
package policies.receipts

import data.egret.mail
import data.egret.words

config := data.config.receipts

# A maximum that is a text is above every number, and a list that is a text finds nothing.
configured if {
	is_number(config.attachment_minutes_max)
	is_number(config.attachment_bytes_max)
	is_number(object.get(config, "approval_amount_over", 0))
	words.needles(config.secret_words)
	words.needles(config.approval_subjects)
}

deny contains {"code": "mail.unconfigured", "message": "data.config.receipts lacks a setting, or has one of another type"} if {
	sends_mail
	not configured
}

sends_mail if input.tool.name == "gmail.send"

reads_inbox if input.tool.name in ["gmail.messages.list", "gmail.messages.get", "gmail.attachments.get"]

allow contains "receipts go to the accountant" if {
	sends_mail
	input.arguments_state == "parsed"
	to_accountant
	attachments_fit
}

to_accountant if mail.only_to(config.recipients)

attachments_fit if {
	small_enough
	every attachment in mail.attachments { fresh_upload(attachment) }
}

small_enough if mail.attachment_bytes <= config.attachment_bytes_max

fresh_upload(attachment) if {
	uploaded(attachment)
	is_number(attachment.age_minutes) # null sorts before every number
	attachment.age_minutes <= config.attachment_minutes_max
}

uploaded(attachment) if attachment.source == "explicit_user_upload"

deny contains {"code": "mail.recipient_not_allowed", "message": "a recipient in To, Cc or Bcc is not on the list, or there is none"} if {
	sends_mail
	not to_accountant
}

deny contains {"code": "mail.attachment_unknown", "message": "an attachment was not provided by the user"} if {
	sends_mail
	some attachment in mail.attachments
	not uploaded(attachment)
}

deny contains {"code": "mail.attachment_stale", "message": "an attachment was provided too long ago"} if {
	sends_mail
	some attachment in mail.attachments
	uploaded(attachment)
	not fresh_upload(attachment)
}

deny contains {"code": "mail.attachment_too_large", "message": "the attachments are too large together"} if {
	sends_mail
	not small_enough
}

deny contains {"code": "mail.secret", "message": "the text contains words that must not be sent"} if {
	sends_mail
	mail.says_any(config.secret_words)
}

deny contains {"code": "mail.inbox", "message": "the inbox may not be read"} if {
	reads_inbox
	not inbox_on_approval
}

allow contains "the inbox may be read with approval" if {
	reads_inbox
	inbox_on_approval
}

require_approval contains "reading the inbox needs approval" if {
	reads_inbox
	inbox_on_approval
}

inbox_on_approval if config.inbox == "approval"

require_approval contains "the subject speaks of money matters" if {
	sends_mail
	mail.subject_says_any(config.approval_subjects)
}

require_approval contains $"the amount is over {config.approval_amount_over} or cannot be read" if {
	sends_mail
	amount := input.arguments.amount
	not within_amount(amount)
}

within_amount(amount) if {
	is_number(amount)
	amount <= config.approval_amount_over
}

log contains {"level": "full", "include_attachment_hashes": true} if sends_mail
