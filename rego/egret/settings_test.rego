package settings_test

import data.egret.settings

# [value, is a list of texts, perhaps empty; is one with a text]
lists := {
	"empty": [[], true, false],
	"a text": [["a"], true, true],
	"two": [["a", "b"], true, true],
	"no list": ["a", false, false],
	"a number in it": [["a", 5], false, false],
	"an empty text": [["a", ""], false, false],
	"only spaces": [[" "], false, false],
	"an object": [{"a": "b"}, false, false],
	"null": [null, false, false],
}

test_lists[name] if {
	some name, [value, texts, some_texts] in lists
	{true | settings.texts(value)} == {true | texts}
	{true | settings.some_texts(value)} == {true | some_texts}
}
