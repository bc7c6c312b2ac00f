package llm_use_test

import data.egret

config := {"models": ["small"], "max_tokens": 1000, "tools": ["get_weather"], "secret_words": ["api_key"]}

call(name, arguments) := {"tool": {"name": name, "known": true}, "arguments": arguments, "arguments_state": "parsed"}

question := {"model": "small", "max_tokens": 1000, "messages": [{"role": "user", "content": "hello"}]}

chat(change) := call("openai.chat", object.union(question, change))

message(change) := call("anthropic.messages", object.union(question, change))

offered(tool) := chat({"tools": [tool]})

# [call, outcome, code of a reason]
calls := {
	"a chat": [chat({}), "allow", "policy.allowed"],
	"a message": [message({}), "allow", "policy.allowed"],
	"a response": [
		call("openai.responses", {"model": "small", "input": "hello", "max_output_tokens": 10}),
		"allow", "policy.allowed",
	],
	"an embedding": [call("openai.embeddings", {"model": "small", "input": "hello"}), "allow", "policy.allowed"],
	"tokens counted": [
		call("anthropic.count_tokens", object.remove(question, ["max_tokens"])),
		"allow", "policy.allowed",
	],
	"the models": [call("openai.models.list", {}), "allow", "policy.allowed"],
	"another model": [chat({"model": "huge"}), "deny", "llm.model_not_allowed"],
	"no model": [call("openai.chat", object.remove(question, ["model"])), "deny", "llm.model_not_allowed"],
	"too long": [chat({"max_tokens": 1001}), "deny", "llm.unbounded"],
	"too long under the newer name": [chat({"max_completion_tokens": 1001}), "deny", "llm.unbounded"],
	"a bound that is none": [chat({"max_tokens": null}), "deny", "llm.unbounded"],
	"without bound": [call("openai.chat", object.remove(question, ["max_tokens"])), "deny", "llm.unbounded"],
	"the bound of another API": [call("openai.responses", {"model": "small", "max_tokens": 10}), "deny", "llm.unbounded"],
	"many answers": [chat({"n": 5}), "deny", "llm.unbounded"],
	"no tools": [chat({"tools": []}), "allow", "policy.allowed"],
	"tools that are null": [chat({"tools": null}), "allow", "policy.allowed"],
	"a listed function": [offered({"type": "function", "function": {"name": "get_weather"}}), "allow", "policy.allowed"],
	"a listed tool": [message({"tools": [{"name": "get_weather", "input_schema": {}}]}), "allow", "policy.allowed"],
	"another function": [offered({"type": "function", "function": {"name": "shell"}}), "deny", "llm.tool_not_allowed"],
	"a function with two names": [
		offered({"name": "get_weather", "function": {"name": "shell"}}),
		"deny", "llm.tool_not_allowed",
	],
	"a tool of the provider": [offered({"type": "web_search"}), "deny", "llm.tool_not_allowed"],
	"a tool of the provider under a listed name": [
		message({"tools": [{"type": "web_fetch_20250910", "name": "get_weather"}]}),
		"deny", "llm.tool_not_allowed",
	],
	"a server": [offered({"name": "get_weather", "server_url": "https://eve.example"}), "deny", "llm.tool_not_allowed"],
	"a connector": [offered({"name": "get_weather", "connector_id": "x"}), "deny", "llm.tool_not_allowed"],
	"a tool without name": [offered({}), "deny", "llm.tool_not_allowed"],
	"a tool that is a text": [offered("get_weather"), "deny", "llm.tool_not_allowed"],
	"tools that are no list": [chat({"tools": {"a": {"name": "get_weather"}}}), "deny", "llm.tool_not_allowed"],
	"servers": [message({"mcp_servers": []}), "deny", "llm.unknown_argument"],
	"an earlier conversation": [chat({"previous_response_id": "x"}), "deny", "llm.unknown_argument"],
	"unreadable": [object.union(chat({}), {"arguments_state": "opaque"}), "deny", "llm.unknown_argument"],
	"a secret": [chat({"messages": [{"content": [{"text": "the API-key is 5"}]}]}), "deny", "llm.secret"],
	"another use": [call("openai.files.create", {}), "deny", "llm.tool"],
	"another provider": [{"tool": {"name": "mind.ask", "sink": "llm"}}, "deny", "llm.tool"],
	"one of Anthropic": [call("anthropic.files.create", {}), "deny", "llm.tool"],
	"nothing at all": [{}, "deny", null],
}

decide(document, settings) := decision if {
	decision := egret.decision with input as document with data.config.llm_use as settings with data.yaml as {}
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

settings := {
	"none": {},
	"models as a text": object.union(config, {"models": "small"}),
	"a maximum that is a text": object.union(config, {"max_tokens": "1000"}),
	"tools as a text": object.union(config, {"tools": "get_weather"}),
	"words as a text": object.union(config, {"secret_words": "x"}),
}

test_settings[name] if {
	some name, setting in settings
	expected(decide(chat({}), setting), "deny", "llm.unconfigured")
}
