# Mail goes to the people on the list and holds no secret. Settings are in config/mail/data.yaml; without them every
# mail is denied. Test it with `egret test .`, play whole calls with `egret simulate .`.
package policies.mail

import data.egret.mail

config := data.config.mail

sends_mail if input.tool.name == "gmail.send"

# METADATA
# title: Mail to people on the list
allow contains "mail to people on the list" if {
	sends_mail
	input.arguments_state == "parsed"
	to_people_on_the_list
}

to_people_on_the_list if mail.only_to(config.recipients)

deny contains {"code": "mail.recipient_not_allowed", "message": "a recipient is not on the list, or there is none"} if {
	sends_mail
	not to_people_on_the_list
}

deny contains {"code": "mail.secret", "message": "the mail says a word that must not leave"} if {
	sends_mail
	mail.says_any(config.secret_words)
}
