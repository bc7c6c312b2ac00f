# The conditions of YAML policies: when a requirement holds and when a trigger is quiet. A requirement that is unknown,
# malformed or about what cannot be read does not hold; such a trigger is not quiet.
package egret.yaml

import data.egret.mail
import data.egret.yaml.shape

# What the requirements of a policy come to: absent, held or missed.
allowance(policy) := "absent" if {
	block(policy, "allow_if") == absent
} else := "held" if {
	policy.allow_if == "always"
} else := "held" if {
	shape.is_map(policy.allow_if)
	readable
	every name, wanted in policy.allow_if { meets(name, wanted) }
} else := "missed"

# The names of the requirements that do not hold, with the parts of `attachments` and `body` as lines of their own,
# and one that nobody need write: what cannot be read cannot be checked.
misses(requirements) := array.concat(
	["readable" | not readable],
	array.concat(
		[name |
			some name, wanted in requirements
			not name in ["attachments", "body"]
			not meets(name, wanted)
		],
		[$"{name}.{part}" |
			some name in ["attachments", "body"]
			some part, wanted in requirements[name]
			not meets_part(part, wanted)
		],
	),
) if {
	is_object(requirements)
} else := []

meets(name, parts) if {
	name in ["attachments", "body"]
	shape.is_map(parts)
	every part, wanted in parts { meets_part(part, wanted) }
}

meets("to_in_allowlist", addresses) if {
	shape.are_addresses(addresses)
	mail.only_to(addresses)
}

meets("to_domain_in", names) if {
	shape.are_domains(names)
	mail.only_to_domains(names)
}

meets_part("source", source) if {
	is_string(source)
	every attachment in mail.attachments { attachment.source == source }
}

meets_part("max_age_minutes", minutes) if {
	shape.is_amount(minutes)
	every attachment in mail.attachments {
		is_number(attachment.age_minutes)
		attachment.age_minutes <= minutes
	}
}

meets_part("max_total_mb", megabytes) if {
	shape.is_amount(megabytes)
	mail.attachment_bytes <= megabytes * 1000000
}

meets_part("max_count", most) if {
	shape.is_amount(most)
	count(mail.attachments) <= most
}

meets_part("media_types", media_types) if {
	shape.is_pattern(media_types)
	every attachment in mail.attachments { fits(media_types, lower(attachment.media_type)) }
}

meets_part("must_not_contain", list) if {
	shape.are_words(list)
	not mail.says_any(list)
}

meets_part("must_contain", list) if {
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

# Whether no trigger fires.
is_calm(policy) if {
	quiet_or_absent(policy, "deny_if")
	quiet_or_absent(policy, "require_approval_if")
} else := false

quiet_or_absent(policy, name) if {
	block(policy, name) == absent
} else if {
	shape.is_map(policy[name])
	every trigger, wanted in policy[name] { quiet(trigger, wanted) }
}

# The names of the triggers that fire: all that are not certainly quiet.
fired(triggers) := [name | some name, wanted in triggers; not quiet(name, wanted)] if {
	is_object(triggers)
} else := ["always"] if {
	triggers == "always"
} else := []

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
	shape.are_words(list)
	readable
	not mail.subject_says_any(list)
}

quiet("body_contains", list) if {
	readable
	meets_part("must_not_contain", list)
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

readable if input.arguments_state in ["parsed", "none"]

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
