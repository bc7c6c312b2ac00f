# Measured by the bench: an access table and facts of the call, without patterns.
package bench.plain

tools := {
	"mail-writer": {"gmail.send", "gmail.drafts.create"},
	"mail-reader": {"gmail.messages.list", "gmail.messages.get"},
	"operator": {"shell.run", "files.write"},
}

roles := {"bench": {"mail-writer", "mail-reader"}, "other": {"mail-reader"}}

risks := {"low": 1, "medium": 2, "high": 3}

ceilings := {"none": 0, "network": 3, "token": 3, "signature": 4}

domains := {"example.com", "example.org"}

granted contains role if {
	some role in roles[input.agent.id]
	input.tool.name in tools[role]
}

strangers contains recipient if {
	some kind in ["to", "cc", "bcc"]
	some recipient in input.arguments[kind]
	not split(recipient, "@")[1] in domains
}

denied contains "the tool is not granted to the agent" if count(granted) == 0

denied contains "the risk is above what the identity is good for" if {
	risks[input.tool.risk] > ceilings[input.agent.assurance]
}

denied contains "a recipient of another domain" if count(strangers) > 0

denied contains "the arguments could not be read" if input.arguments_state != "parsed"

denied contains "the text is too long" if count(input.arguments.text) > 4000

denied contains "too many attachments" if {
	sum([attachment.bytes | some attachment in input.attachments]) > 20000000
}

decision := {
	"allowed": count(denied) == 0,
	"code": {true: "policy.allowed", false: "policy.denied"}[count(denied) == 0],
	"messages": sort(denied),
	"roles": sort(granted),
}
