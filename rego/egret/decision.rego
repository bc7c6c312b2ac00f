# The one decision about one call: combines every package `policies.<name>` and every YAML policy of the bundle.
# Deny overrides; then approval, which can never grant what no policy allows; then at least one allow; otherwise
# the call is denied. Total: any input, and any item of the wrong type in a set, leads to a decision.
package egret

import data.egret.yaml

# How many reasons a decision lists, and how many of their messages it joins into one.
max_reasons := 64

max_messages := 4

# METADATA
# title: The decision about one call
# entrypoint: true
decision := answer("deny", "policy.denied", denials) if {
	count(denials) > 0
} else := answer("require_approval", "approval.required", approvals) if {
	count(approvals) > 0
	count(grants) > 0
} else := answer("allow", "policy.allowed", grants) if {
	count(grants) > 0
} else := object.union(
	answer("deny", "policy.no_match", yaml.near_misses),
	{"message": concat(": ", array.concat(
		["No policy allows this call"],
		[joined | joined := joined_messages(yaml.near_misses); joined != ""],
	))},
)

answer(outcome, code, reasons) := {
	"allowed": outcome == "allow",
	"outcome": outcome,
	"code": code,
	"message": joined_messages(reasons),
	"reasons": array.slice(sort(reasons), 0, max_reasons),
	"obligations": obligations_for(outcome),
	"warnings": sort(warnings),
}

joined_messages(reasons) := concat("; ", array.slice(
	sort({reason.message | some reason in reasons}),
	0,
	max_messages,
))

default policies := {}

policies := data.policies

grants contains reason_of(name, "allow", "policy.allowed", item) if {
	some name, sets in policies
	some item in sets.allow
}

grants contains reason if some reason in yaml.grants

approvals contains reason_of(name, "require_approval", "approval.required", item) if {
	some name, sets in policies
	some item in sets.require_approval
}

approvals contains reason if some reason in yaml.approvals

denials contains reason_of(name, "deny", "policy.denied", item) if {
	some name, sets in policies
	some item in sets.deny
}

denials contains reason if some reason in yaml.denials

denials contains bad_item(name, key, $"{key} is a {type_name(value)}, expected a set") if {
	some name, sets in policies
	some key, value in sets
	set_names[key]
	not is_set(value)
}

denials contains bad_item(name, key, $"an item of {key} is malformed") if {
	some name, sets in policies
	some key in readable_sets
	some item in sets[key]
	not reason_of(name, key, "", item)
}

denials contains bad_item(name, key, $"an item of {key} is malformed") if {
	some name, sets in policies
	some key in obligation_sets
	some item in sets[key]
	not obligation(key, item)
}

# A rule that sits in `policies` itself or below `policies.<name>` would be looked for by nobody.
denials contains bad_item(name, "package", "rules must be in a package policies.<name>") if {
	some name, sets in policies
	not is_object(sets)
}

denials contains bad_item(name, key, "rules must be in a package policies.<name>") if {
	some name, sets in policies
	some key, value in sets
	is_object(value)
	some nested, _ in value
	set_names[nested]
	is_set(value[nested])
}

warnings contains reason_of(name, "warn", "", item).message if {
	some name, sets in policies
	some item in sets.warn
}

obligations contains obligation(key, item) if {
	some name, sets in policies
	some key in obligation_sets
	some item in sets[key]
}

obligations contains log if some log in yaml.logs

obligations_for("allow") := sort(obligations)

# What changes a call has no meaning for a call that is not sent; a record is written either way.
obligations_for(outcome) := sort([log | some log in obligations; log.kind == "log"]) if outcome != "allow"

readable_sets := ["allow", "deny", "require_approval", "warn"]

obligation_sets := ["header", "label", "limit", "log", "patch", "redact"]

set_names := {name | some name in array.concat(readable_sets, obligation_sets)}

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

bad_item(name, key, message) := {
	"code": "policy.bad_item",
	"policy": name,
	"rule": key,
	"message": message,
}

obligation("log", level) := {"kind": "log", "level": level, "include_attachment_hashes": false} if log_levels[level]

obligation("log", item) := log if {
	log := object.union({"kind": "log", "include_attachment_hashes": false}, object.remove(item, ["kind"]))
	log_levels[log.level]
	is_boolean(log.include_attachment_hashes)
	every field in object.get(log, "fields", []) { startswith(field, "/") }
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

log_levels := {"full", "metadata"}
