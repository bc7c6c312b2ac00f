# METADATA
# title: Chat in listed channels
# description: >-
#   Plain text goes to listed channels and is read there; no secrets, no mentions of everybody, nothing deleted.
#   Settings: data.config.chat.
package policies.chat

import data.egret.arguments
import data.egret.settings

config := data.config.chat

configured if {
	settings.some_texts(config.channels)
	settings.texts(config.secret_words)
}

about if startswith(input.tool.name, "slack.")

about if input.tool.sink == "chat"

deny contains {"code": "chat.unconfigured", "message": "data.config.chat needs channels and secret_words"} if {
	about
	not configured
}

# What each tool may be given. Blocks, attachments and link_names are other ways to write a text or to call everybody.
posting := {
	"slack.chat.postMessage": ["channel", "channel_id", "mrkdwn", "text", "thread_ts", "unfurl_links", "unfurl_media"],
	"slack.chat.postEphemeral": ["channel", "text", "thread_ts", "user"],
	"slack.chat.update": ["channel", "text", "ts"],
	"slack.reactions.add": ["channel", "name", "timestamp"],
}

reading := {
	"slack.conversations.history": ["channel", "cursor", "inclusive", "latest", "limit", "oldest"],
	"slack.conversations.replies": ["channel", "cursor", "inclusive", "latest", "limit", "oldest", "ts"],
}

in_channels := object.union(posting, reading)

directory := ["slack.auth.test", "slack.conversations.list", "slack.users.info", "slack.users.list"]

posts if posting[input.tool.name]

names_known if arguments.only(in_channels[input.tool.name])

listed_channel if arguments.only_values(["channel", "channel_id"], config.channels)

no_secret if arguments.silent_on(config.secret_words)

calls_everybody := [
	"<!channel", "<!here", "<!everyone", "<!subteam", "&lt;!channel", "&lt;!here", "&lt;!everyone", "&lt;!subteam",
	"@channel", "@here", "@everyone",
]

no_mass_mention if arguments.silent_on(calls_everybody)

plain_text if {
	is_string(object.get(input.arguments, "text", ""))
	names_known
}

# METADATA
# title: Text and reactions in listed channels
allow contains "text in a listed channel" if {
	configured
	posts
	input.arguments_state == "parsed"
	plain_text
	listed_channel
	no_secret
	no_mass_mention
}

# METADATA
# title: Reading listed channels
allow contains "a listed channel may be read" if {
	configured
	reading[input.tool.name]
	input.arguments_state == "parsed"
	names_known
	listed_channel
}

# METADATA
# title: Names of channels and people, where the settings open them
allow contains "the directory may be read" if {
	configured
	config.directory == true
	input.tool.name in directory
	arguments.readable
}

deny contains {"code": "chat.channel_not_allowed", "message": "the channel is not on the list, or there is none"} if {
	in_channels[input.tool.name]
	not listed_channel
}

deny contains {"code": "chat.unknown_argument", "message": "the call has more than plain text: blocks, attachments, or arguments that are not known here"} if {
	in_channels[input.tool.name]
	not plain_text
}

deny contains {"code": "chat.secret", "message": "the text contains words that must not be sent"} if {
	posts
	not no_secret
}

deny contains {"code": "chat.mass_mention", "message": "the text calls everybody in the channel"} if {
	posts
	not no_mass_mention
}

deny contains {"code": "chat.tool", "message": "this tool of the chat is not open"} if {
	about
	not in_channels[input.tool.name]
	not directory_open
}

directory_open if {
	input.tool.name in directory
	config.directory == true
}
