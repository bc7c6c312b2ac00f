package code_hosting_test

import data.egret

config := {
	"repositories": ["Example/site"],
	"protected_branches": ["main", "release/*"],
	"secret_words": ["api_key"],
}

call(name, operation, arguments) := {
	"tool": {"name": name, "known": true, "operation": operation},
	"arguments": arguments,
	"arguments_state": "parsed",
}

issue(change) := call(
	"github.issues.create", "write",
	object.union({"owner": "example", "repo": "site", "title": "A link is broken", "body": "See /about."}, change),
)

file(change) := call(
	"github.contents.write", "write",
	object.union({"owner": "example", "repo": "site", "branch": "fix", "path": "a.md", "content": "x", "message": "y"}, change),
)

files(list) := call(
	"github.contents.write", "write",
	{"owner": "example", "repo": "site", "branch": "fix", "message": "y", "files": list},
)

# [call, outcome, code of a reason]
calls := {
	"reading": [call("github.repos.get", "read", {"owner": "any", "repo": "thing"}), "allow", "policy.allowed"],
	"searching": [call("github.search.code", "list", {"q": "api_key"}), "allow", "policy.allowed"],
	"an issue": [issue({}), "allow", "policy.allowed"],
	"an issue in capitals": [issue({"owner": "EXAMPLE"}), "allow", "policy.allowed"],
	"an issue elsewhere": [issue({"repo": "secrets"}), "deny", "code.repository_not_allowed"],
	"an issue nowhere": [issue({"repo": null}), "deny", "code.repository_not_allowed"],
	"an issue with a secret": [issue({"body": "the API-key is 5"}), "deny", "code.secret"],
	"a secret in a label": [issue({"labels": ["api key"]}), "deny", "code.secret"],
	"unreadable": [object.union(issue({}), {"arguments_state": "opaque"}), "deny", null],
	"a file": [file({}), "allow", "policy.allowed"],
	"a file on main": [file({"branch": "Main"}), "deny", "code.protected_branch"],
	"a file on main by its long name": [file({"branch": "refs/heads/main"}), "deny", "code.protected_branch"],
	"a file on a release": [file({"branch": "release/2"}), "deny", "code.protected_branch"],
	"a file on the default branch": [file({"branch": ""}), "deny", "code.protected_branch"],
	"a file on no branch": [file({"branch": null}), "deny", "code.protected_branch"],
	"a workflow": [file({"path": ".github/workflows/a.yaml"}), "deny", "code.automation"],
	"a workflow in capitals": [file({"path": "./.GitHub/workflows/a.yaml"}), "deny", "code.automation"],
	"a file named alike": [file({"path": "docs/.github.md"}), "allow", "policy.allowed"],
	"a path that is none": [file({"path": 5}), "deny", "code.automation"],
	"a secret in a file": [file({"content": "api_key = 5"}), "deny", "code.secret"],
	"files": [files([{"path": "a.md", "content": "x"}, {"path": "b.md", "content": "y"}]), "allow", "policy.allowed"],
	"a workflow among files": [files([{"path": "a.md"}, {"path": ".github/a.yaml"}]), "deny", "code.automation"],
	"a secret among files": [files([{"path": "a.md", "content": "api_key"}]), "deny", "code.secret"],
	"a file without path": [files([{"path": "a.md"}, {"content": "x"}]), "deny", "code.automation"],
	"a path that is no text": [files([{"path": false}, {"content": "x"}]), "deny", "code.automation"],
	"a file that is no object": [files(["a.md"]), "deny", "code.automation"],
	"no files": [files([]), "deny", "code.automation"],
	"merging": [call("github.pulls.merge", "write", {"owner": "example", "repo": "site"}), "deny", "code.tool"],
	"deleting": [call("github.repos.delete", "write", {"owner": "example", "repo": "site"}), "deny", "code.tool"],
	"running a workflow": [call("github.workflows.dispatch", "write", {}), "deny", "code.tool"],
	"another host": [{"tool": {"name": "forge.push", "sink": "code"}}, "deny", "code.tool"],
	"nothing at all": [{}, "deny", null],
}

decide(document, settings) := decision if {
	decision := egret.decision with input as document with data.config.code_hosting as settings with data.yaml as {}
}

test_calls[name] if {
	some name, [document, outcome, code] in calls
	expected(decide(document, config), outcome, code)
}

expected(decision, outcome, null) if {
	decision.outcome == outcome
	decision.code == "policy.no_match"
}

expected(decision, outcome, code) if {
	decision.outcome == outcome
	code in [reason.code | some reason in decision.reasons]
}

# [call, settings]
settings := {
	"none": [issue({}), {}],
	"none for reading": [call("github.repos.get", "read", {}), {}],
	"repositories as a text": [issue({}), object.union(config, {"repositories": "example/site"})],
	"no protected branch": [file({}), object.union(config, {"protected_branches": []})],
	"branches as a text": [file({}), object.union(config, {"protected_branches": "main"})],
	"words as a text": [issue({}), object.union(config, {"secret_words": "api_key"})],
}

test_settings[name] if {
	some name, [document, setting] in settings
	expected(decide(document, setting), "deny", "code.unconfigured")
}
