package arguments_test

import data.egret.arguments

# [value, maximum, is at most that]
numbers := {
	"a number": [5, 5, true],
	"a text": ["5", 5, true],
	"a fraction in a text": ["0.5", 5, true],
	"too much": [6, 5, false],
	"too much in a text": ["5.01", 5, false],
	"nothing": [0, 5, false],
	"less than nothing": [-1, 5, false],
	"less than nothing in a text": ["-1", 5, false],
	"an exponent": ["1e0", 5, false],
	"a space": [" 1", 5, false],
	"a hexadecimal number": ["0x1", 5, false],
	"no number": ["NaN", 5, false],
	"an empty text": ["", 5, false],
	"null": [null, 5, false],
	"a list": [["1"], 5, false],
	"a maximum that is a text": [1, "5", false],
	"a maximum that is null": [1, null, false],
}

test_at_most[name] if {
	some name, [value, max, expected] in numbers
	{true | arguments.at_most(value, max)} == {true | expected}
}

test_only if {
	arguments.only(["a", "b"]) with input as {"arguments": {"a": 1}}
	arguments.only(["a"]) with input as {}
	not arguments.only(["b"]) with input as {"arguments": {"a": null, "b": 1}}
	not arguments.only("a") with input as {"arguments": {"a": 1}}
}

# [arguments, list, every one of `to` and `channel` is on it]
values := {
	"listed": [{"to": "a"}, ["a"], true],
	"both listed": [{"to": "a", "channel": "b"}, ["a", "b"], true],
	"one not listed": [{"to": "a", "channel": "c"}, ["a", "b"], false],
	"none there": [{"text": "a"}, ["a"], false],
	"a list of them": [{"to": ["a"]}, ["a"], false],
	"null": [{"to": null}, ["a"], false],
	"a list that is a text": [{"to": "a"}, "a", false],
	"no list": [{"to": "a"}, null, false],
}

test_only_values[name] if {
	some name, [given, list, expected] in values
	actual := {true | arguments.only_values(["to", "channel"], list) with input as {"arguments": given}}
	actual == {true | expected}
}

# [arguments, the words `api key` and `seed` are not in them]
words := {
	"nothing": [{}, true],
	"other words": [{"text": "hello"}, true],
	"a word": [{"text": "the API-key"}, false],
	"deep down": [{"a": [{"content": "x se\u200bed"}]}, false],
	"a name": [{"a": {"api_key": 1}}, false],
	"a name at the top": [{"Seed": 1}, false],
	"numbers": [{"a": [1, null, true]}, true],
}

test_silent_on[name] if {
	some name, [given, expected] in words
	actual := {true | arguments.silent_on(["api key", "seed"]) with input as {"arguments": given}}
	actual == {true | expected}
}

test_nothing_is_silent_on_a_list_that_is_none if {
	arguments.silent_on([]) with input as {"arguments": {"text": "hello"}}
	not arguments.silent_on("hello") with input as {"arguments": {"text": "x"}}
	not arguments.silent_on([5]) with input as {"arguments": {"text": "x"}}
}

test_readable if {
	arguments.readable with input as {"arguments_state": "none"}
	not arguments.readable with input as {"arguments_state": "opaque"}
	not arguments.readable with input as {}
}

test_arguments_that_are_no_object_are_none_at_all if {
	arguments.given == {} with input as {"arguments": "text"}
	arguments.given == {} with input as {}
}

# Arguments have no order: what one ends with and another begins with is no word, in whatever order they are read.
test_no_word_goes_from_one_argument_into_the_next if {
	arguments.silent_on(["@channel"]) with input as {"arguments": {"channel": "C0", "text": "@"}}
	arguments.silent_on(["@channel"]) with input as {"arguments": {"a": "@", "b": "channel"}}
	not arguments.silent_on(["@channel"]) with input as {"arguments": {"text": "@ chan-nel"}}
}

test_a_word_goes_from_one_text_of_a_list_into_the_next if {
	not arguments.silent_on(["api key"]) with input as {"arguments": {"lines": ["my api", "key is"]}}
	not arguments.silent_on(["api key"]) with input as {"arguments": {"blocks": [{"text": "my api"}, {"text": "key is"}]}}
	arguments.silent_on(["api key"]) with input as {"arguments": {"blocks": [{"text": "my api"}, {"title": "key is"}]}}
}
