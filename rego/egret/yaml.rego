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

# The policies that speak about this call, each with its errors.
matched := [[policy, shape.policy_errors(path, policy)] |
	some [path, policy] in shape.entries
	not elsewhere(policy)
]

# The well-formed ones among them.
sound := [policy |
	some [policy, found] in matched
	count(found) == 0
]

grants contains reason(policy.id, "allow_if", "policy.allowed", title) if {
	some policy in sound
	policy.allow_if
	count(misses(policy.allow_if)) == 0
	title := object.get(policy, "title", $"{policy.id} allows it")
}

near_misses contains reason(policy.id, $"allow_if.{name}", requirement_texts[name][0], requirement_texts[name][1]) if {
	some policy in sound
	some name in misses(policy.allow_if)
}

approvals contains reason(policy.id, $"require_approval_if.{name}", "approval.required", trigger_texts[name]) if {
	some policy in sound
	some name in fired(policy.require_approval_if)
}

denials contains reason(policy.id, $"deny_if.{name}", "policy.denied", trigger_texts[name]) if {
	some policy in sound
	some name in fired(policy.deny_if)
}

denials contains bad_yaml(error) if some error in shape.file_errors

denials contains bad_yaml(error) if {
	some [_, found] in matched
	some error in found
}

logs contains object.union({"kind": "log", "include_attachment_hashes": false}, policy.log) if some policy in sound

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
	shape.well_formed(shape.when_lines, key, wanted)
	not fits(wanted, facts[key])
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

# The names of the requirements that do not hold.
misses("always") := set()

misses(requirements) := {name |
	some [name, wanted] in lines(requirements)
	not meets(name, wanted)
} if {
	is_object(requirements)
}

# Requirements, with the parts of `attachments` and `body` as lines of their own, and one that nobody need write:
# what cannot be read cannot be checked.
lines(requirements) := array.concat(
	[["readable", true]],
	array.concat(
		[[name, wanted] | some name, wanted in requirements; not parts[name]],
		[[$"{name}.{part}", wanted] | some name, _ in parts; some part, wanted in requirements[name]],
	),
)

parts := {"attachments", "body"}

meets("readable", true) if input.arguments_state in {"parsed", "none"}

meets("to_in_allowlist", addresses) if mail.only_to(addresses)

meets("to_domain_in", names) if mail.only_to_domains(names)

meets("attachments.source", source) if {
	every attachment in mail.attachments { attachment.source == source }
}

meets("attachments.max_age_minutes", minutes) if {
	every attachment in mail.attachments {
		is_number(attachment.age_minutes)
		attachment.age_minutes <= minutes
	}
}

meets("attachments.max_total_mb", megabytes) if mail.attachment_bytes <= megabytes * 1000000

meets("attachments.max_count", most) if count(mail.attachments) <= most

meets("attachments.media_types", media_types) if {
	every attachment in mail.attachments { fits(media_types, lower(attachment.media_type)) }
}

meets("body.must_not_contain", texts) if {
	every words in texts { not mail.says(words) }
}

meets("body.must_contain", texts) if {
	every words in texts { mail.says(words) }
}

meets("subject_contains", texts) if {
	some words in texts
	mail.subject_says(words)
}

meets("amount_at_most", limit) if number(argument("amount")) <= limit

meets("argument", conditions) if {
	every name, condition in conditions {
		every test, wanted in condition { holds(test, wanted, argument(name)) }
	}
}

holds("equals", wanted, value) if wanted == value

holds("in", wanted, value) if value in wanted

holds("matches", wanted, value) if fits(wanted, value)

holds("at_most", wanted, value) if number(value) <= wanted

holds("at_least", wanted, value) if number(value) >= wanted

# The names of the triggers that fire.
fired("always") := {"always"}

fired(triggers) := {name | some name, wanted in triggers; fires(name, wanted)} if is_object(triggers)

# Triggers look at what the call says; one that cannot be read may say anything.
fires(_, _) if not meets("readable", true)

fires("to_includes", addresses) if {
	some wanted in addresses
	mail.recipients[lower(wanted)]
}

fires("to_domain_includes", names) if {
	some wanted in names
	mail.domains[lower(wanted)]
}

fires("to_not_in_allowlist", addresses) if not mail.only_to(addresses)

fires("to_domain_not_in", names) if not mail.only_to_domains(names)

fires("subject_contains", texts) if {
	some words in texts
	mail.subject_says(words)
}

fires("body_contains", texts) if {
	some words in texts
	mail.says(words)
}

# An amount that cannot be read may be any amount.
fires("amount_over", limit) if {
	amount := argument("amount")
	not within(amount, limit)
}

fires("argument", conditions) if {
	some name, condition in conditions
	some value in each(argument(name))
	some test, wanted in condition
	touches(test, wanted, value)
}

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

touches("under", wanted, value) if not number(value) >= wanted

within(value, limit) if number(value) <= limit

each(value) := value if is_array(value)

each(value) := [value] if not is_array(value)

loose(value) := lower(trim_space(value)) if is_string(value)

loose(value) := json.marshal(value) if not is_string(value)

number(value) := value if is_number(value)

number(value) := to_number(value) if is_string(value)

# An argument by its name, or by a JSON pointer into the arguments.
argument(name) := mail.arguments[name] if not startswith(name, "/")

argument(name) := value if {
	startswith(name, "/")
	keys := [replace(replace(key, "~1", "/"), "~0", "~") | some key in split(substring(name, 1, -1), "/")]
	value := object.get(mail.arguments, keys, missing)
	value != missing
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
