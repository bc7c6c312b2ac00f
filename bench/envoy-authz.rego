# The receipts rules for OPA-Envoy, stated directly on Envoy's parsed body: the shortest form these rules have there,
# so that the peer is not slowed by a library made for another input.
package bench.envoy

import rego.v1

default allow := false

secrets := ["api_key", "seed phrase", "private key"]

allow if {
	input.attributes.request.http.method == "POST"
	call := input.parsed_body
	call.method == "tools/call"
	call.params.name == "send_email"
	mail := call.params.arguments
	count(mail.to) > 0
	every address in mail.to { lower(address) in data.bench.accountants }
	every field in ["cc", "bcc"] { object.get(mail, field, []) == [] }
	count(object.get(mail, "attachments", [])) == 0
	text := lower(concat("\n", [mail.subject, mail.body]))
	not contains_secret(text)
	not needs_approval(lower(mail.subject))
}

contains_secret(text) if {
	some secret in secrets
	contains(text, secret)
}

needs_approval(subject) if {
	some word in ["invoice", "tax", "salary"]
	contains(subject, word)
}
