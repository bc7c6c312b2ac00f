# YAML policies: what `data.yaml.policies` and `data.yaml.<name>.policies` say about this call.
# `allow_if` is a list of requirements that must all hold; `deny_if` and `require_approval_if` are lists of triggers
# of which one is enough. A malformed policy never widens: it denies every call it may be about, and says why.
package egret.yaml

import data.egret.yaml.shape

# METADATA
# title: Everything that is malformed in the YAML policies of this bundle
# entrypoint: true
errors := sort(all_errors)

all_errors contains error if some error in shape.file_errors

all_errors contains error if some error in shape.repeated_ids

all_errors contains error if {
	some [file, index, policy] in shape.entries
	some error in shape.policy_errors(file, index, policy)
}

# What the YAML policies say about this call, as items of the sets that a policy in Rego has: [policy, set, item].
items := [item | some found in matched; some item in items_of(found)] if {
	data.yaml
	count(shape.file_errors) == 0
} else := [bad_yaml(error) | some error in shape.file_errors] if {
	data.yaml
} else := []

# The policies that speak about this call: what their requirements and triggers come to, and their errors.
matched := [[policy, allowing, calm, found_in(file, index, policy, allowing, calm)] |
	some [file, index, policy] in shape.entries
	not elsewhere(policy)
	allowing := allowance(policy)
	calm := is_calm(policy)
]

# Malformed lines never hold as a requirement and always fire as a trigger. So the shape of a policy needs no second
# look when all its requirements hold, none of its triggers fires and its outer lines are in order.
found_in(file, index, policy, allowing, calm) := set() if {
	calm
	allowing != "missed"
	shape.in_order(policy)
} else := shape.policy_errors(file, index, policy)

items_of([policy, allowing, calm, found]) := [bad_yaml(error) | some error in found] if {
	count(found) > 0
} else := array.concat(grants(policy, allowing), array.concat(triggered(policy, calm), logs(policy)))

grants(policy, "held") := [[policy.id, "allow", {"message": object.get(policy, "title", policy.id), "rule": "allow_if"}]]

grants(_, allowing) := [] if allowing != "held"

triggered(_, true) := []

triggered(policy, false) := array.concat(
	[[policy.id, "deny", {"message": trigger_texts[name], "rule": $"deny_if.{name}"}] |
		some name in fired(block(policy, "deny_if"))
	],
	[[policy.id, "require_approval", {"message": trigger_texts[name], "rule": $"require_approval_if.{name}"}] |
		some name in fired(block(policy, "require_approval_if"))
	],
)

logs(policy) := [[policy.id, "log", policy.log]] if {
	policy.log
} else := []

near_misses := [{"code": code, "policy": policy.id, "rule": $"allow_if.{name}", "message": text} |
	some [policy, "missed", _, found] in matched
	count(found) == 0
	some name in misses(block(policy, "allow_if"))
	[code, text] := requirement_texts[name]
]

bad_yaml(error) := [error.path, "deny", {
	"code": "policy.bad_yaml",
	"rule": "yaml",
	"message": $"{error.path}: found {error.found}, expected {error.expected}",
}]

# A well-formed line of `when` that does not fit: the policy is about other calls. A malformed line fits every call.
elsewhere(policy) if {
	some key, wanted in policy.when
	value := fact(key)
	not fits(wanted, value)
	shape.well_formed(shape.when_lines, key, wanted)
}

fact("tool") := object.get(input, ["tool", "name"], null)

fact("server") := object.get(input, ["tool", "server"], null)

fact("operation") := object.get(input, ["tool", "operation"], null)

fact("risk") := object.get(input, ["tool", "risk"], null)

fact("known") := object.get(input, ["tool", "known"], null)

fact("environment") := object.get(input, "environment", null)

fact("agent") := object.get(input, ["agent", "id"], null)

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
