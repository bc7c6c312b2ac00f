# METADATA
# title: Use of language models
# description: >-
#   Listed models, an answer of bounded length, and no tools but the listed ones. Settings: data.config.llm_use.
package policies.llm_use

import data.egret.arguments
import data.egret.settings

config := data.config.llm_use

configured if {
	settings.some_texts(config.models)
	is_number(config.max_tokens)
	settings.texts(config.tools)
	settings.texts(config.secret_words)
}

about if startswith(input.tool.name, "openai.")

about if startswith(input.tool.name, "anthropic.")

about if input.tool.sink == "llm"

deny contains {"code": "llm.unconfigured", "message": "data.config.llm_use needs models, max_tokens, tools and secret_words"} if {
	about
	not configured
}

# Where each API bounds the length of its answer.
answering := {
	"openai.chat": ["max_completion_tokens", "max_tokens"],
	"openai.responses": ["max_output_tokens"],
	"anthropic.messages": ["max_tokens"],
}

counting := ["anthropic.count_tokens", "openai.embeddings"]

listing := ["anthropic.models.list", "openai.models.list"]

answers if answering[input.tool.name]

asks if answers

asks if input.tool.name in counting

listed_model if input.arguments.model in config.models

bounded if not answers

bounded if {
	answers
	limits := [arguments.given[name] | some name in answering[input.tool.name]]
	count(limits) > 0
	every limit in limits { arguments.at_most(limit, config.max_tokens) }
	object.get(input.arguments, "n", 1) == 1
}

# Left out on purpose: what names a server or a state that nobody has seen here (`mcp_servers`, `prompt`, `conversation`,
# `previous_response_id`, `container`, `web_search_options`), and the older `functions`.
known_arguments := [
	"dimensions", "encoding_format", "frequency_penalty", "input", "instructions", "logit_bias", "logprobs",
	"max_completion_tokens", "max_output_tokens", "max_tokens", "messages", "metadata", "model", "n",
	"parallel_tool_calls", "presence_penalty", "reasoning", "reasoning_effort", "response_format", "seed", "service_tier",
	"stop", "stop_sequences", "store", "stream", "stream_options", "system", "temperature", "text", "thinking",
	"tool_choice", "tools", "top_k", "top_logprobs", "top_p", "truncation", "user", "verbosity",
]

plain if {
	input.arguments_state == "parsed"
	arguments.only(known_arguments)
}

no_secret if arguments.silent_on(config.secret_words)

listed_tools if object.get(input.arguments, "tools", []) in [[], null]

listed_tools if {
	is_array(input.arguments.tools)
	every tool in input.arguments.tools { listed_tool(tool) }
}

# Every name that a tool goes by must be listed: a tool that the provider runs has a type of its own beside its name.
listed_tool(tool) if {
	not tool.server_url
	not tool.connector_id
	names := tool_names(tool)
	count(names) > 0
	every name in names { name in config.tools }
}

tool_names(tool) := {name |
	some name in [
		object.get(tool, "name", null),
		object.get(tool, ["function", "name"], null),
		provider_type(tool),
	]
	name != null
}

provider_type(tool) := null if object.get(tool, "type", "function") in ["custom", "function"]

provider_type(tool) := tool.type if not object.get(tool, "type", "function") in ["custom", "function"]

# METADATA
# title: A question to a listed model
allow contains "a question to a listed model" if {
	configured
	asks
	plain
	listed_model
	bounded
	listed_tools
	no_secret
}

# METADATA
# title: The list of models
allow contains "the models may be listed" if {
	configured
	input.tool.name in listing
	arguments.readable
}

deny contains {"code": "llm.model_not_allowed", "message": "the model is not on the list"} if {
	asks
	not listed_model
}

deny contains {"code": "llm.unbounded", "message": "the length of the answer has no bound, or one over the maximum"} if {
	asks
	not bounded
}

deny contains {"code": "llm.tool_not_allowed", "message": "a tool that the model is offered is not on the list"} if {
	asks
	not listed_tools
}

deny contains {"code": "llm.unknown_argument", "message": "the question has parts that are not known here"} if {
	asks
	not plain
}

deny contains {"code": "llm.secret", "message": "the question contains words that must not be sent"} if {
	asks
	not no_secret
}

deny contains {"code": "llm.tool", "message": "this use of the provider is not open"} if {
	about
	not asks
	not input.tool.name in listing
}
