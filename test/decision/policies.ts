/** Rego policies that tests of the engine compile: a realistic one, and one for each way to go wrong. Pure. */

/** Mail rules as an author would write them without the library: sets, strings, numbers, data, no patterns. */
export const MAIL = `package egret

decision := {"allowed": outcome == "allow", "outcome": outcome, "code": code, "message": concat("; ", sort(messages)), "reasons": [r | some m in sort(messages); r := {"code": "mail", "policy": "mail", "rule": "deny", "message": m}], "obligations": [], "warnings": []}

default outcome := "deny"
outcome := "allow" if { allowed; count(denied) == 0; not held }
outcome := "require_approval" if { allowed; count(denied) == 0; held }

code := {"allow": "policy.allowed", "require_approval": "approval.required"}[outcome]
code := "policy.denied" if { outcome == "deny"; count(denied) > 0 }
code := "policy.no_match" if { outcome == "deny"; count(denied) == 0 }

messages := denied
recipients contains lower(r) if some r in array.concat(input.arguments.to, object.get(input.arguments, "cc", []))
allowed if {
	input.tool.name == "gmail.send"
	count(recipients) > 0
	every r in recipients { r in data.config.accountants }
}
held if { some word in data.config.words; contains(lower(input.arguments.subject), word) }
denied contains "secret in the body" if { some s in data.config.secrets; contains(lower(input.arguments.text), s) }
denied contains "attachment is too old" if { some a in input.attachments; a.age_minutes > data.config.minutes }
denied contains "attachment was not uploaded" if { some a in input.attachments; a.source != "explicit_user_upload" }
denied contains "too much data" if sum([a.bytes | some a in input.attachments]) > 20000000
denied contains "wrong environment" if not input.environment in {"prod", "test"}
`;

export const MAIL_DATA = JSON.stringify({
  config: {
    accountants: ['accountant@example.com', 'backup@example.com'],
    words: ['invoice', 'tax', 'salary'],
    secrets: ['api_key', 'seed phrase', 'private key'],
    minutes: 30,
  },
});

/** The same with patterns compiled into the module. */
export const PATTERNS = `package egret

default decision := "no"
decision := "yes" if {
	regex.match(\`^[a-z]+\\.[a-z_]+$\`, input.tool.name)
	glob.match("*.example.com", ["."], input.destination.host)
	not regex.match(\`(?i)(api[_-]?key|password)\\s*[:=]\`, input.arguments.text)
}
`;

/** Would run for hours. */
export const ENDLESS = `package egret

decision := count([1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a * b == input.never])
`;

/** Doubles a string until memory ends. */
export const BOMB = `package egret

decision := count([s | some i in numbers.range(1, 2000); s := concat("", [x | some j in numbers.range(1, 400); x := concat("-", ["0123456789012345678901234567890123456789", format_int(i * j, 10)])])])
`;

export const CONFLICT = `package egret

decision := input.a
decision := input.b
`;

export const UNDEFINED = `package egret

decision := true if input.there
`;

export const ECHO = `package egret

decision := input
`;

export const CLOCK = `package egret

decision := {"now": time.now_ns(), "again": time.now_ns(), "given": input.time_ns, "same": time.now_ns() == input.time_ns}
`;
