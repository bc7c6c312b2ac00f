# The one decision about one call: combines every package `policies.<name>` and every YAML policy of the bundle.
# Deny overrides; then approval, which can never grant what no policy allows; then at least one allow; otherwise
# the call is denied. Total: any input, and any item of the wrong type in a set, leads to a decision.
# Arrays stand where sets would do, because the compiled module hashes every member of a set.
package egret

import data.egret.yaml

# METADATA
# title: The decision about one call
# entrypoint: true
decision := answer("deny", "policy.denied", joined(denials), denials) if {
	count(denials) > 0
} else := answer("require_approval", "approval.required", joined(approvals), approvals) if {
	count(approvals) > 0
	count(grants) > 0
} else := answer("allow", "policy.allowed", joined(grants), grants) if {
	count(grants) > 0
} else := answer("deny", "policy.no_match", no_match_message, yaml.near_misses)

answer(outcome, code, message, reasons) := {
	"allowed": outcome == "allow",
	"outcome": outcome,
	"code": code,
	"message": message,
	"reasons": array.slice(sort(reasons), 0, 64),
	"obligations": obligations_for(outcome),
	"warnings": sort(warnings),
}

# The messages as one sentence; more than four help nobody.
joined(reasons) := concat("; ", array.slice(sort({reason.message | some reason in reasons}), 0, 4))

no_match_message := $"no policy allows this call: {joined(yaml.near_misses)}" if {
	count(yaml.near_misses) > 0
} else := "no policy allows this call"

default policies := {}

policies := data.policies

grants := array.concat(reasons_of("allow", "policy.allowed"), yaml.grants)

approvals := array.concat(reasons_of("require_approval", "approval.required"), yaml.approvals)

denials := array.concat(
	array.concat(reasons_of("deny", "policy.denied"), yaml.denials),
	array.concat(bad_items, misplaced_rules),
)

warnings := [reason.message | some reason in reasons_of("warn", "")]

reasons_of(key, code) := [reason |
	some name, sets in policies
	some item in sets[key]
	reason := reason_of(name, key, code, item)
]

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

bad_items := array.concat(
	[bad_item(name, key) |
		some name, sets in policies
		some key in ["allow", "deny", "require_approval", "warn"]
		some item in sets[key]
		not is_string(item)
		not reason_of(name, key, "", item)
	],
	[bad_item(name, key) |
		some [name, key, item] in obligation_items
		not obligation(key, item)
	],
)

bad_item(name, key) := {
	"code": "policy.bad_item",
	"policy": name,
	"rule": key,
	"message": $"policies.{name}.{key}: found a malformed item, expected a text or an object with its fields",
}

# Rules that nobody would look for, or that are no set: `allow := true`, or a package below `policies.<name>`.
misplaced_rules := array.concat(
	[misplaced_rule("policies", name, sets) |
		some name, sets in policies
		not is_object(sets)
	],
	[misplaced_rule($"policies.{name}", key, value) |
		some name, sets in policies
		some key, value in sets
		not is_set(value)
		misplaced(key, value)
	],
)

misplaced(key, _) if key in set_names

misplaced(_, value) if {
	is_object(value)
	some name in set_names
	is_set(value[name])
}

misplaced_rule(path, key, value) := {
	"code": "policy.bad_item",
	"policy": path,
	"rule": key,
	"message": $"{path}.{key}: found {type_name(value)}, expected a set such as {path}.allow in a package policies.<name>",
}

obligation_sets := ["header", "label", "limit", "log", "patch", "redact"]

set_names := array.concat(["allow", "deny", "require_approval", "warn"], obligation_sets)

obligation_items := [[name, key, item] |
	some name, sets in policies
	some key in obligation_sets
	some item in sets[key]
]

obligations := array.concat(
	[obligation(key, item) | some [_, key, item] in obligation_items],
	yaml.logs,
)

obligations_for("allow") := sort({obligation | some obligation in obligations})

# What changes a call has no meaning for a call that is not sent; a record is written either way.
obligations_for(outcome) := sort({log | some log in obligations; log.kind == "log"}) if outcome != "allow"

obligation("log", level) := {"kind": "log", "level": level, "include_attachment_hashes": false} if level in log_levels

obligation("log", item) := log if {
	log := object.union({"include_attachment_hashes": false}, object.union(item, {"kind": "log"}))
	log.level in log_levels
	is_boolean(log.include_attachment_hashes)
	fields := object.get(log, "fields", [])
	is_array(fields)
	every field in fields { startswith(field, "/") }
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

log_levels := ["full", "metadata"]
