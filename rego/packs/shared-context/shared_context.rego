# METADATA
# title: Context of one user and context that is shared
# description: >-
#   A run keeps and recalls notes in its own scope only, each note with a label; what enters a shared scope carries labels
#   that are meant for it, holds no secrets and does not stay for ever. Settings: data.config.shared_context.
package policies.shared_context

import data.egret.arguments
import data.egret.settings

config := data.config.shared_context

configured if {
	settings.some_texts(config.labels)
	settings.some_texts(config.shared_labels)
	settings.texts(config.secret_words)
	is_string(config.user_label)
	is_number(config.retention_seconds_max)
	every tools in [config.tools.keep, config.tools.recall, config.tools.speak] { settings.texts(tools) }
}

keeps if input.tool.name in config.tools.keep

recalls if input.tool.name in config.tools.recall

# Tools that speak into a room where many listen.
speaks if input.tool.name in config.tools.speak

about if keeps

about if recalls

about if speaks

deny contains {"code": "context.unconfigured", "message": "data.config.shared_context needs labels, shared_labels, user_label, tools, secret_words and retention_seconds_max"} if {
	about
	not configured
}

scope_known if {
	input.scope.kind in ["user", "shared"]
	is_string(input.scope.id)
	input.scope.id != ""
}

own_scope if {
	scope_known
	input.arguments.scope == input.scope.kind
	input.arguments.owner == input.scope.id
}

enters_shared if {
	keeps
	input.scope.kind == "shared"
}

enters_shared if speaks

known_label if input.arguments.label in config.labels

known_label if not keeps

# The label of the note, and those of everything that the run has read.
eligible if not enters_shared

eligible if {
	speaks
	nothing_private_read
}

eligible if {
	keeps
	input.arguments.label in config.shared_labels
	nothing_private_read
}

nothing_private_read if {
	is_array(input.context.labels)
	every label in input.context.labels { label in config.shared_labels }
}

silent if not enters_shared

silent if arguments.silent_on(config.secret_words)

bounded if not enters_shared

bounded if speaks

bounded if arguments.at_most(input.arguments.retention_seconds, config.retention_seconds_max)

in_place if own_scope

in_place if {
	speaks
	scope_known
	input.scope.kind == "shared"
}

# METADATA
# title: Notes of the own scope, and words that may be shared
allow contains "the context stays in its scope" if {
	configured
	about
	input.arguments_state == "parsed"
	in_place
	known_label
	eligible
	silent
	bounded
}

# From here on the run has read what belongs to one user. A sidecar that keeps no labels refuses the call.
label contains config.user_label if {
	recalls
	input.scope.kind == "user"
}

deny contains {"code": "context.scope_unknown", "message": "nobody has said whose context this run is; the policy needs the scope of the run, a user or a shared one"} if {
	about
	not scope_known
}

deny contains {"code": "context.other_scope", "message": "the call is about another scope than that of the run"} if {
	about
	scope_known
	not in_place
}

deny contains {"code": "context.label_missing", "message": "the note has no label, or one that is not listed"} if {
	keeps
	not known_label
}

deny contains {"code": "context.not_for_sharing", "message": "the note, or something that the run has read, has a label that is not meant for a shared scope"} if {
	about
	not eligible
}

deny contains {"code": "context.secret", "message": "the text contains words that must not be shared"} if {
	about
	not silent
}

deny contains {"code": "context.retention", "message": "a shared note needs retention_seconds up to the maximum"} if {
	about
	not bounded
}

log contains "full" if about
