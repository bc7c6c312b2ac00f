# The shape of YAML policies: every key that may stand somewhere and what its value must look like.
# An error names the file and the path in it, what was found there and what was expected.
package egret.yaml.shape

import data.egret.words

policy_lines := {
	"id": "text",
	"title": "text",
	"description": "text",
	"when": "lines",
	"allow_if": "conditions",
	"deny_if": "conditions",
	"require_approval_if": "conditions",
	"log": "lines",
}

when_lines := {
	"tool": "pattern",
	"server": "pattern",
	"operation": "pattern",
	"environment": "pattern",
	"agent": "pattern",
	"risk": "pattern",
	"known": "boolean",
}

requirement_lines := {
	"to_in_allowlist": "addresses",
	"to_domain_in": "domains",
	"attachments": "lines",
	"body": "lines",
	"subject_contains": "words",
	"amount_at_most": "number",
	"argument": "lines",
}

attachment_lines := {
	"source": "text",
	"max_age_minutes": "number",
	"max_total_mb": "number",
	"max_count": "number",
	"media_types": "pattern",
}

body_lines := {"must_not_contain": "words", "must_contain": "words"}

trigger_lines := {
	"to_includes": "addresses",
	"to_domain_includes": "domains",
	"to_not_in_allowlist": "addresses",
	"to_domain_not_in": "domains",
	"subject_contains": "words",
	"body_contains": "words",
	"amount_over": "number",
	"argument": "lines",
}

required_argument_lines := {
	"equals": "scalar",
	"in": "scalars",
	"matches": "pattern",
	"at_most": "number",
	"at_least": "number",
}

triggering_argument_lines := {
	"equals": "scalar",
	"in": "scalars",
	"matches": "pattern",
	"over": "number",
	"under": "number",
}

argument_lines := {
	"allow_if": required_argument_lines,
	"deny_if": triggering_argument_lines,
	"require_approval_if": triggering_argument_lines,
}

log_lines := {"level": "level", "include_attachment_hashes": "boolean", "fields": "pointers"}

expected := {
	"text": "a text that is not empty",
	"lines": "a map with at least one line",
	"conditions": "a map with at least one condition, or the word always",
	"boolean": "true or false",
	"number": "a number that is not negative",
	"pattern": "a text or a list of texts, with * only at the end",
	"addresses": "a list of mail addresses such as name@example.com",
	"domains": "a list of domains such as example.com",
	"words": "a list of words with at least one letter or digit each and without * \\ `",
	"scalar": "a text, a number or a boolean",
	"scalars": "a list of texts, numbers or booleans",
	"level": "full or metadata",
	"pointers": "a list of JSON pointers such as /arguments/subject",
}

# Every policy with its file and its place there.
entries := [[file, index, policy] |
	some file, policies in files
	is_array(policies)
	some index, policy in policies
]

place(file, index) := $"{file}#/policies/{index}"

files["yaml/data.yaml"] := data.yaml.policies

files[$"yaml/{name}/data.yaml"] := content.policies if {
	some name, content in data.yaml
	name != "policies"
}

file_errors contains {"path": file, "found": shown(policies), "expected": "a list of policies"} if {
	some file, policies in files
	not is_array(policies)
}

file_errors contains {"path": $"yaml/{name}/data.yaml", "found": shown(content), "expected": "a map with the one key policies"} if {
	some name, content in data.yaml
	name != "policies"
	not only_policies(content)
}

repeated_ids contains {"path": path, "found": $"the id {id} again", "expected": "an id that no other policy has"} if {
	some id, paths in paths_of_id
	count(paths) > 1
	some path in paths
}

paths_of_id[policy.id] contains $"{place(file, index)}/id" if some [file, index, policy] in entries

only_policies(content) if {
	is_object(content)
	object.keys(content) == {"policies"}
}

policy_errors(file, index, policy) := line_errors(path, policy) | missing_errors(path, policy) if {
	is_object(policy)
	path := place(file, index)
} else := {{"path": place(file, index), "found": shown(policy), "expected": "a map"}}

line_errors(path, policy) := {error |
	some [at, lines, kinds] in sections(path, policy)
	some key, value in lines
	not well_formed(kinds, key, value)
	error := line_error($"{at}/{key}", kinds, key, value)
}

missing_errors(path, policy) := {{"path": path, "found": $"no {key}", "expected": $"the key {key}"} |
	some key in missing_keys(policy)
}

missing_keys(policy) := array.concat(
	[key | some key in ["id", "when"]; object.get(policy, key, null) == null],
	["allow_if, deny_if, require_approval_if or log" | not has_effect(policy)],
)

has_effect(policy) if {
	some key in ["allow_if", "deny_if", "require_approval_if", "log"]
	object.get(policy, key, null) != null
}

# Each map of a policy: where it is, its lines and the table of what they may be.
sections(path, policy) := array.concat(
	[
		[path, policy, policy_lines],
		[$"{path}/when", object.get(policy, "when", {}), when_lines],
		[$"{path}/allow_if", object.get(policy, "allow_if", {}), requirement_lines],
		[$"{path}/allow_if/attachments", object.get(policy, ["allow_if", "attachments"], {}), attachment_lines],
		[$"{path}/allow_if/body", object.get(policy, ["allow_if", "body"], {}), body_lines],
		[$"{path}/deny_if", object.get(policy, "deny_if", {}), trigger_lines],
		[$"{path}/require_approval_if", object.get(policy, "require_approval_if", {}), trigger_lines],
		[$"{path}/log", object.get(policy, "log", {}), log_lines],
	],
	argument_sections(path, policy),
)

argument_sections(path, policy) := [section |
	some block, kinds in argument_lines
	conditions := object.get(policy, [block, "argument"], {})
	some section in array.concat(
		[[$"{path}/{block}/argument", conditions, {name: "lines" | some name, _ in conditions}]],
		[[$"{path}/{block}/argument/{name}", tests, kinds] | some name, tests in conditions],
	)
]

well_formed(kinds, key, value) if fit(kinds[key], value)

line_error(path, kinds, key, value) := {"path": path, "found": shown(value), "expected": expected[kinds[key]]} if kinds[key]

line_error(path, kinds, key, _) := {
	"path": path,
	"found": $"the unknown key {key}",
	"expected": $"one of {concat(", ", sort(object.keys(kinds)))}",
} if {
	not kinds[key]
}

shown(value) := $"the {type_name(value)} {substring(json.marshal(value), 0, 80)}"

fit("text", value) if is_text(value)

fit("lines", value) if is_map(value)

fit("conditions", value) if is_map(value)

fit("conditions", "always")

fit("boolean", value) if is_boolean(value)

fit("number", value) if is_amount(value)

fit("pattern", value) if is_pattern(value)

fit("addresses", value) if are_addresses(value)

fit("domains", value) if are_domains(value)

fit("words", value) if are_words(value)

fit("scalar", value) if is_scalar(value)

fit("scalars", value) if are_scalars(value)

fit("level", value) if value in ["full", "metadata"]

fit("pointers", value) if {
	are_texts(value)
	every one in value { startswith(one, "/") }
}

# What evaluation relies on: the outer lines of a policy, whose blocks are judged line by line.
in_order(policy) if {
	is_text(policy.id)
	has_effect(policy)
	every key, _ in policy { key in policy_keys }
	is_text(object.get(policy, "title", "-"))
	is_text(object.get(policy, "description", "-"))
	is_map(policy.when)
	every key, value in policy.when { well_formed(when_lines, key, value) }
	log_in_order(policy)
}

log_in_order(policy) if {
	log := object.get(policy, "log", {"level": "full"})
	is_map(log)
	every key, value in log { well_formed(log_lines, key, value) }
}

policy_keys := ["id", "title", "description", "when", "allow_if", "deny_if", "require_approval_if", "log"]

is_map(value) if {
	is_object(value)
	count(value) > 0
}

is_list(value) if {
	is_array(value)
	count(value) > 0
}

is_text(value) if {
	is_string(value)
	trim_space(value) != ""
}

are_texts(value) if {
	is_list(value)
	every one in value { is_text(one) }
}

is_amount(value) if {
	is_number(value)
	value >= 0
}

is_pattern(value) if is_prefix(value)

is_pattern(value) if {
	is_list(value)
	every one in value { is_prefix(one) }
}

is_prefix(value) if {
	is_text(value)
	not contains(trim_suffix(value, "*"), "*")
}

# Words are found in text without marks, so marks in them would make them find nothing.
are_words(value) if {
	are_texts(value)
	all_words := concat("", value)
	not contains(all_words, "*")
	not contains(all_words, "\\")
	not contains(all_words, "`")
	every word in words.needles(value) { word != "" }
}

are_addresses(value) if {
	is_list(value)
	every one in value { is_address(one) }
}

are_domains(value) if {
	is_list(value)
	every one in value { is_domain(one) }
}

is_address(value) if {
	[local, domain] := split(value, "@")
	local != ""
	domain != ""
	not contains(value, " ")
}

is_domain(value) if {
	is_text(value)
	not contains(value, "@")
	not contains(value, "*")
	not contains(value, " ")
}

is_scalar(value) if type_name(value) in ["string", "number", "boolean"]

are_scalars(value) if {
	is_list(value)
	every one in value { is_scalar(one) }
}
