# YAML policies: what `data.yaml.policies` and `data.yaml.<name>.policies` say about this call.
# `allow_if` is a list of requirements that must all hold; `deny_if` and `require_approval_if` are lists of triggers
# of which one is enough. A malformed policy never widens: it denies every call it may be about, and says why.
package egret.yaml

import data.egret.mail
import data.egret.yaml.shape

# METADATA
# title: Everything that is malformed in the YAML policies of this bundle
# entrypoint: true
errors := sort(all_errors)

all_errors contains error if some error in shape.file_errors

all_errors contains error if some error in shape.repeated_ids

all_errors contains error if {
	some [path, policy] in shape.entries
	some error in shape.policy_errors(path, policy)
}

# The policies that speak about this call, each with its errors and with what became of its lines.
matched := [[policy, found_in(path, policy, missed, denying, holding), missed, denying, holding] |
	some [path, policy] in shape.entries
	not elsewhere(policy)
	missed := misses(block(policy, "allow_if"))
	denying := fired(block(policy, "deny_if"))
	holding := fired(block(policy, "require_approval_if"))
]

# Malformed lines never hold as a requirement and always fire as a trigger. So the shape of a policy needs no second
# look when all its requirements hold, none of its triggers fires and its outer lines are in order.
found_in(path, policy, missed, denying, holding) := set() if {
	(count(missed) + count(denying)) + count(holding) == 0
	shape.in_order(policy)
} else := shape.policy_errors(path, policy)

grants := [reason(policy.id, "allow_if", "policy.allowed", title) |
	some [policy, found, missed, _, _] in matched
	count(found) == 0
	block(policy, "allow_if") != absent
	count(missed) == 0
	title := object.get(policy, "title", $"{policy.id} allows it")
]

near_misses := [reason(policy.id, $"allow_if.{name}", code, text) |
	some [policy, found, missed, _, _] in matched
	count(found) == 0
	some name in missed
	[code, text] := requirement_texts[name]
]

approvals := [reason(policy.id, $"require_approval_if.{name}", "approval.required", trigger_texts[name]) |
	some [policy, _, _, _, holding] in matched
	some name in holding
]

denials := array.concat(
	[reason(policy.id, $"deny_if.{name}", "policy.denied", trigger_texts[name]) |
		some [policy, found, _, denying, _] in matched
		count(found) == 0
		some name in denying
	],
	[bad_yaml(error) | some error in malformed],
)

malformed := shape.file_errors | {error |
	some [_, found, _, _, _] in matched
	some error in found
}

logs := [object.union({"kind": "log", "include_attachment_hashes": false}, policy.log) |
	some [policy, found, _, _, _] in matched
	count(found) == 0
]

reason(policy, rule, code, message) := {"code": code, "policy": policy, "rule": rule, "message": message}

bad_yaml(error) := {
	"code": "policy.bad_yaml",
	"policy": error.path,
	"rule": "yaml",
	"message": $"{error.path}: found {error.found}, expected {error.expected}",
}

# A well-formed line of `when` that does not fit: the policy is about other calls. A malformed line fits every call.
elsewhere(policy) if {
	some key, wanted in policy.when
	not fits(wanted, facts[key])
	shape.well_formed(shape.when_lines, key, wanted)
}

facts := {
	"tool": object.get(input, ["tool", "name"], null),
	"server": object.get(input, ["tool", "server"], null),
	"operation": object.get(input, ["tool", "operation"], null),
	"risk": object.get(input, ["tool", "risk"], null),
	"known": object.get(input, ["tool", "known"], null),
	"environment": object.get(input, "environment", null),
	"agent": object.get(input, ["agent", "id"], null),
}

# A value, a list of values, or a text that ends in `*` and stands for every text that begins so.
fits(wanted, value) if {
	wanted == value
} else if {
	endswith(wanted, "*")
	startswith(value, trim_suffix(wanted, "*"))
} else if {
	is_array(wanted)
	some one in wanted
	fits_one(one, value)
}

fits_one(wanted, value) if {
	wanted == value
} else if {
	endswith(wanted, "*")
	startswith(value, trim_suffix(wanted, "*"))
}

block(policy, name) := policy[name] if {
	not is_null(policy[name])
} else := "malformed" if {
	is_null(policy[name])
} else := absent

# No YAML can write a set.
absent := set()

# The names of the requirements that do not hold.
misses(requirements) := [name |
	some [name, wanted] in lines(requirements)
	not meets(name, wanted)
] if {
	shape.is_map(requirements)
} else := [] if {
	requirements in [absent, "always"]
} else := ["malformed"]

# Requirements, with the parts of `attachments` and `body` as lines of their own, and one that nobody need write:
# what cannot be read cannot be checked.
lines(requirements) := array.concat(
	[["readable", true]],
	[line |
		some name, wanted in requirements
		some line in parts(name, wanted)
	],
)

parts(name, wanted) := [[name, wanted]] if not name in ["attachments", "body"]

parts(name, wanted) := array.concat(
	[[name, "malformed"] | not shape.is_map(wanted)],
	[[$"{name}.{part}", value] | some part, value in wanted],
) if {
	name in ["attachments", "body"]
}

meets("readable", true) if input.arguments_state in ["parsed", "none"]

meets("to_in_allowlist", addresses) if {
	shape.are_addresses(addresses)
	mail.only_to(addresses)
}

meets("to_domain_in", names) if {
	shape.are_domains(names)
	mail.only_to_domains(names)
}

meets("attachments.source", source) if {
	is_string(source)
	every attachment in mail.attachments { attachment.source == source }
}

meets("attachments.max_age_minutes", minutes) if {
	shape.is_amount(minutes)
	every attachment in mail.attachments {
		is_number(attachment.age_minutes)
		attachment.age_minutes <= minutes
	}
}

meets("attachments.max_total_mb", megabytes) if {
	shape.is_amount(megabytes)
	mail.attachment_bytes <= megabytes * 1000000
}

meets("attachments.max_count", most) if {
	shape.is_amount(most)
	count(mail.attachments) <= most
}

meets("attachments.media_types", media_types) if {
	shape.is_pattern(media_types)
	every attachment in mail.attachments { fits(media_types, lower(attachment.media_type)) }
}

meets("body.must_not_contain", list) if {
	shape.are_texts(list)
	not mail.says_any(list)
}

meets("body.must_contain", list) if {
	shape.are_words(list)
	every word in list { mail.holds_any([word]) }
}

meets("subject_contains", list) if {
	shape.are_words(list)
	is_string(mail.arguments.subject)
	mail.subject_says_any(list)
}

meets("amount_at_most", limit) if {
	shape.is_amount(limit)
	number(argument("amount")) <= limit
}

meets("argument", conditions) if {
	shape.is_map(conditions)
	every name, tests in conditions {
		shape.is_map(tests)
		every test, wanted in tests { holds(test, wanted, argument(name)) }
	}
}

holds("equals", wanted, value) if {
	shape.is_scalar(wanted)
	wanted == value
}

holds("in", wanted, value) if {
	shape.are_scalars(wanted)
	value in wanted
}

holds("matches", wanted, value) if {
	shape.is_pattern(wanted)
	fits(wanted, value)
}

holds("at_most", wanted, value) if {
	shape.is_amount(wanted)
	number(value) <= wanted
}

holds("at_least", wanted, value) if {
	shape.is_amount(wanted)
	number(value) >= wanted
}

# The names of the triggers that fire: all that are not certainly quiet.
fired(triggers) := [name | some name, wanted in triggers; not quiet(name, wanted)] if {
	shape.is_map(triggers)
} else := [] if {
	triggers == absent
} else := ["always"]

quiet("to_includes", addresses) if {
	shape.are_addresses(addresses)
	readable
	every address in addresses { not mail.recipients[lower(address)] }
}

quiet("to_domain_includes", names) if {
	shape.are_domains(names)
	readable
	every name in names { not mail.domains[lower(name)] }
}

quiet("to_not_in_allowlist", addresses) if {
	readable
	meets("to_in_allowlist", addresses)
}

quiet("to_domain_not_in", names) if {
	readable
	meets("to_domain_in", names)
}

quiet("subject_contains", list) if {
	shape.are_texts(list)
	readable
	not mail.subject_says_any(list)
}

quiet("body_contains", list) if {
	readable
	meets("body.must_not_contain", list)
}

# An amount that cannot be read may be any amount.
quiet("amount_over", limit) if {
	shape.is_amount(limit)
	readable
	every amount in each_argument("amount") { within(amount, limit) }
}

quiet("argument", conditions) if {
	shape.is_map(conditions)
	readable
	every name, tests in conditions {
		shape.is_map(tests)
		every test, wanted in tests {
			shape.well_formed(shape.triggering_argument_lines, test, wanted)
			every value in each_argument(name) { not touches(test, wanted, value) }
		}
	}
}

readable if meets("readable", true)

# Triggers read loosely: `true`, `"true"` and `["TRUE"]` are one thing to a tool that takes forms.
touches("equals", wanted, value) if loose(wanted) == loose(value)

touches("in", wanted, value) if {
	some one in wanted
	loose(one) == loose(value)
}

touches("matches", wanted, value) if {
	some one in each(wanted)
	fits_one(lower(one), loose(value))
}

touches("over", wanted, value) if not within(value, wanted)

touches("under", wanted, value) if not holds("at_least", wanted, value)

within(value, limit) if number(value) <= limit

each_argument(name) := each(argument(name)) if {
	argument(name) != missing
} else := []

each(value) := value if is_array(value)

each(value) := [value] if not is_array(value)

loose(value) := lower(trim_space(value)) if is_string(value)

loose(value) := json.marshal(value) if not is_string(value)

number(value) := value if is_number(value)

number(value) := to_number(value) if is_string(value)

# An argument by its name, or by a JSON pointer into the arguments.
argument(name) := object.get(mail.arguments, name, missing) if not startswith(name, "/")

argument(name) := object.get(mail.arguments, keys, missing) if {
	startswith(name, "/")
	keys := [replace(replace(key, "~1", "/"), "~0", "~") | some key in split(substring(name, 1, -1), "/")]
}

missing := {"no such argument"}

requirement_texts := {
	"readable": ["call.unreadable", "the arguments of the call cannot be read"],
	"to_in_allowlist": ["mail.recipient_not_allowed", "a recipient in To, Cc or Bcc is not on the list, or there is none"],
	"to_domain_in": ["mail.recipient_not_allowed", "a recipient in To, Cc or Bcc is in another domain, or there is none"],
	"attachments.source": ["mail.attachment_unknown", "an attachment does not come from the required source"],
	"attachments.max_age_minutes": ["mail.attachment_stale", "an attachment was provided too long ago"],
	"attachments.max_total_mb": ["mail.attachment_too_large", "the attachments are too large together"],
	"attachments.max_count": ["mail.attachment_too_many", "there are too many attachments"],
	"attachments.media_types": ["mail.attachment_type", "an attachment has a media type that is not allowed"],
	"body.must_not_contain": ["mail.secret", "the text contains words that must not be sent"],
	"body.must_contain": ["mail.text_missing", "the text lacks words that it must contain"],
	"subject_contains": ["mail.subject", "the subject has none of the required words"],
	"amount_at_most": ["call.amount", "the amount is missing or too high"],
	"argument": ["call.argument", "an argument does not have a permitted value"],
}

trigger_texts := {
	"always": "this policy always applies to such calls",
	"to_includes": "a recipient is on the list",
	"to_domain_includes": "a recipient is in a listed domain",
	"to_not_in_allowlist": "a recipient in To, Cc or Bcc is not on the list, or there is none",
	"to_domain_not_in": "a recipient in To, Cc or Bcc is in another domain, or there is none",
	"subject_contains": "the subject has a listed word",
	"body_contains": "the text contains listed words",
	"amount_over": "the amount is over the limit or cannot be read",
	"argument": "an argument has a listed value",
}
