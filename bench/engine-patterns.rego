# Measured by the bench: regular expressions and globs over the tool, the recipients and everything that is said.
package bench.patterns

secrets := {
	"key": `(?i)(api[_-]?key|secret|passw(or)?d)\s*[:=]\s*\S+`,
	"private key": `-----BEGIN ([A-Z]+ )?PRIVATE KEY-----`,
	"card": `\b(?:\d[ -]?){13,16}\b`,
	"token": `\b(ghp|gho|xox[bp])_[A-Za-z0-9]{20,}\b`,
}

granted contains pattern if {
	some pattern in ["gmail.send", "gmail.drafts.*", "calendar.*.read"]
	glob.match(pattern, ["."], input.tool.name)
}

strangers contains recipient if {
	some kind in ["to", "cc", "bcc"]
	some recipient in input.arguments[kind]
	not regex.match(`^[a-z0-9._-]+@([a-z0-9-]+\.)*example\.(com|org)$`, recipient)
}

found contains name if {
	some name, pattern in secrets
	some field in ["subject", "text"]
	regex.match(pattern, input.arguments[field])
}

denied contains "the tool is not granted" if count(granted) == 0

denied contains "a recipient outside" if count(strangers) > 0

denied contains concat(" ", ["the mail holds a", name]) if some name in found

denied contains "the trace id is malformed" if {
	not regex.match(`^[0-9a-f]{32}$`, input.run.trace_id)
}

decision := {
	"allowed": count(denied) == 0,
	"code": {true: "policy.allowed", false: "policy.denied"}[count(denied) == 0],
	"messages": sort(denied),
	"granted": sort(granted),
}
