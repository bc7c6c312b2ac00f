# The one decision about one call: combines every package `policies.<name>` and every YAML policy of the bundle.
# Deny overrides; then approval, which can never grant what no policy allows; then at least one allow; otherwise
# the call is denied. Total: any input, and any item of the wrong type in a set, leads to a decision.
# Each comprehension costs about a microsecond once compiled, so all policies are gone through once, into `items`.
package egret

import data.egret.yaml

# METADATA
# title: The decision about one call
# entrypoint: true
decision := answer("deny", "policy.denied", joined(denials), denials) if {
	count(denials) > 0
} else := answer("require_approval", "approval.required", joined(approvals), approvals) if {
	count(grants) > 0
	count(approvals) > 0
} else := answer("allow", "policy.allowed", joined(grants), grants) if {
	count(grants) > 0
} else := answer("deny", "policy.no_match", no_match_message, yaml.near_misses)

answer(outcome, code, message, reasons) := {
	"allowed": outcome == "allow",
	"outcome": outcome,
	"code": code,
	"message": message,
	"reasons": ordered(reasons),
	"obligations": obligations_for(outcome),
	"warnings": warnings,
}

ordered(reasons) := reasons if {
	count(reasons) < 2
} else := array.slice(sort(reasons), 0, 64)

# The messages as one sentence; more than four help nobody.
joined(reasons) := reasons[0].message if {
	count(reasons) == 1
} else := concat("; ", array.slice(sort({reason.message | some reason in reasons}), 0, 4))

no_match_message := $"no policy allows this call: {joined(yaml.near_misses)}" if {
	count(yaml.near_misses) > 0
} else := "no policy allows this call"

default policies := {}

policies := data.policies

# Everything that any policy says: [policy, set, item]. Sets of other names are an author's own and are ignored below.
items := array.concat(yaml.items, [[name, key, item] |
	some name, sets in policies
	some key, set in sets
	is_set(set)
	some item in set
])

grants := [reason_of(name, "allow", "policy.allowed", item) | some [name, "allow", item] in items]

approvals := [reason_of(name, "require_approval", "approval.required", item) |
	some [name, "require_approval", item] in items
]

denials := array.concat(
	[denial | some [name, key, item] in items; denial := denial_of(name, key, item)],
	misplaced_rules,
)

denial_of(name, "deny", item) := reason_of(name, "deny", "policy.denied", item)

denial_of(name, key, item) := {
	"code": "policy.bad_item",
	"policy": name,
	"rule": key,
	"message": $"policies.{name}.{key}: found a malformed item, expected a text or an object with its fields",
} if {
	key in set_names
	not well_formed(key, item)
}

well_formed(key, item) if {
	key in reason_sets
	reason_of("", key, "", item)
}

well_formed(key, item) if obligation(key, item)

reason_of(name, key, code, item) := {"code": code, "policy": name, "rule": key, "message": item} if is_string(item)

reason_of(name, key, code, item) := reason if {
	is_object(item)
	reason := {
		"code": object.get(item, "code", code),
		"policy": name,
		"rule": object.get(item, "rule", key),
		"message": item.message,
	}
	is_string(reason.code)
	is_string(reason.rule)
	is_string(reason.message)
}

# Rules that nobody would look for, or that are no set: `allow := true`, or a package below `policies.<name>`.
misplaced_rules := [{"code": "policy.bad_item", "policy": name, "rule": key, "message": message} |
	some name, sets in policies
	some key, value in sets
	not is_set(value)
	misplaced(sets, key, value)
	message := $"policies.{name}.{key}: found {type_name(value)}, expected rules such as policies.<name>.allow, which is a set"
]

misplaced(sets, _, _) if not is_object(sets)

misplaced(_, key, _) if key in set_names

misplaced(_, _, value) if {
	is_object(value)
	some name in set_names
	is_set(value[name])
}

reason_sets := ["allow", "deny", "require_approval", "warn"]

set_names := array.concat(reason_sets, ["header", "label", "limit", "log", "patch", "redact"])

warnings := sort([reason_of(name, "warn", "", item).message | some [name, "warn", item] in items])

obligations := [obligation(key, item) | some [_, key, item] in items]

obligations_for("allow") := sorted_once(obligations)

# What changes a call has no meaning for a call that is not sent; a record is written either way.
obligations_for(outcome) := sorted_once([log | some log in obligations; log.kind == "log"]) if outcome != "allow"

sorted_once(list) := list if {
	count(list) < 2
} else := sort({member | some member in list})

obligation("log", level) := {"kind": "log", "level": level, "include_attachment_hashes": false} if level in log_levels

obligation("log", item) := plain_log(item) if object.get(item, "fields", "none") == "none"

obligation("log", item) := object.union(plain_log(item), {"fields": item.fields}) if {
	is_array(item.fields)
	every field in item.fields { startswith(field, "/") }
}

obligation("redact", path) := {"kind": "redact", "path": path} if startswith(path, "/arguments/")

obligation("redact", item) := object.union(item, {"kind": "redact"}) if startswith(item.path, "/arguments/")

obligation("patch", item) := object.union(item, {"kind": "patch"}) if {
	startswith(item.path, "/arguments/")
	item.op in ["add", "remove", "replace"]
}

obligation("header", item) := object.union(item, {"kind": "header"}) if {
	is_string(item.name)
	is_string(item.value)
}

obligation("label", label) := {"kind": "label", "label": label} if is_string(label)

obligation(key, item) := object.union(item, {"kind": key}) if {
	key in ["label", "limit"]
	is_object(item)
}

plain_log(item) := {"kind": "log", "level": item.level, "include_attachment_hashes": hashes} if {
	item.level in log_levels
	hashes := object.get(item, "include_attachment_hashes", false)
	is_boolean(hashes)
}

log_levels := ["full", "metadata"]
