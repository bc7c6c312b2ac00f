# METADATA
# title: Code hosting, read freely and written where listed
# description: >-
#   Reading is free. Issues, pull requests and files are written in listed repositories only, files never on a protected
#   branch or below .github; nothing is deleted or merged. Settings: data.config.code_hosting.
package policies.code_hosting

import data.egret.arguments
import data.egret.settings

config := data.config.code_hosting

configured if {
	settings.texts(config.repositories)
	settings.some_texts(config.protected_branches)
	settings.texts(config.secret_words)
}

about if startswith(input.tool.name, "github.")

about if input.tool.sink == "code"

deny contains {"code": "code.unconfigured", "message": "data.config.code_hosting needs repositories, protected_branches and secret_words"} if {
	about
	not configured
}

reads if {
	startswith(input.tool.name, "github.")
	input.tool.known == true
	input.tool.operation in ["read", "list"]
}

# METADATA
# title: Reading
allow contains "code may be read" if {
	configured
	reads
	arguments.readable
}

discussing := [
	"github.issues.comment",
	"github.issues.create",
	"github.issues.update",
	"github.pulls.create",
	"github.pulls.review",
]

discusses if input.tool.name in discussing

writes_files if input.tool.name == "github.contents.write"

writes if discusses

writes if writes_files

repository := lower($"{input.arguments.owner}/{input.arguments.repo}") if {
	is_string(input.arguments.owner)
	is_string(input.arguments.repo)
}

listed_repository if {
	some entry in config.repositories
	lower(entry) == repository
}

no_secret if arguments.silent_on(config.secret_words)

# A write without a branch goes to the default one.
open_branch if {
	branch := lower(input.arguments.branch)
	branch != ""
	not startswith(branch, "refs/")
	not protected(branch)
}

# A `*` at the end covers every branch that begins so.
protected(branch) if {
	some entry in config.protected_branches
	covers(lower(entry), branch)
}

covers(entry, branch) if entry == branch

covers(entry, branch) if {
	endswith(entry, "*")
	startswith(branch, trim_suffix(entry, "*"))
}

paths := array.concat(
	[path | path := arguments.given.path],
	[path_of(file) | some file in arguments.given.files],
)

path_of(file) := file.path if is_string(file.path)

else := null

# Workflows run with the rights of the repository.
ordinary_paths if {
	count(paths) > 0
	every path in paths {
		is_string(path)
		not automated(path)
	}
}

automated(path) if ".github" in split(lower(replace(path, `\`, "/")), "/")

# METADATA
# title: Issues and pull requests of listed repositories
allow contains "issues and pull requests of a listed repository" if {
	configured
	discusses
	input.arguments_state == "parsed"
	listed_repository
	no_secret
}

# METADATA
# title: Files of listed repositories, on branches that are not protected
allow contains "files on an open branch of a listed repository" if {
	configured
	writes_files
	input.arguments_state == "parsed"
	listed_repository
	open_branch
	ordinary_paths
	no_secret
}

deny contains {"code": "code.repository_not_allowed", "message": "the repository is not on the list"} if {
	writes
	not listed_repository
}

deny contains {"code": "code.protected_branch", "message": "the branch is protected, or none is named"} if {
	writes_files
	not open_branch
}

deny contains {"code": "code.automation", "message": "files below .github are left to people, and every file has a path"} if {
	writes_files
	not ordinary_paths
}

deny contains {"code": "code.secret", "message": "the text contains words that must not be sent"} if {
	writes
	not no_secret
}

deny contains {"code": "code.tool", "message": "deleting, merging, running workflows and new repositories are left to people"} if {
	about
	not reads
	not writes
}

log contains "full" if writes
