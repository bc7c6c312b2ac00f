# One form for every way to write the same words: lower case, without what spaces, joins, hides or marks up. Substring
# search on that form finds `seed  phrase`, `api-key` and `p\u200bassword`. It does not find what is enciphered,
# translated or drawn: a list of words is a seat belt, not a wall.
package egret.words

# `has_marks` is `marked` of the text, or of a longer text that it is part of: finding out costs more than the rest.
squeezed(text, false) := unspaced(lower(text))

squeezed(text, true) := unspaced(strings.replace_n({mark: "" | some mark in marks}, lower(text)))

# Replacing one by one takes two thirds of the time of replacing all at once.
unspaced(text) := replace(replace(replace(replace(replace(replace(text, " ", ""), "-", ""), "_", ""), "\n", ""), "\r", ""), "\t", "")

# The squeezed form of each word of a list. A policy's own words hold no marks, or they would find nothing.
needles(list) := split(unspaced(lower(concat("\u0001", list))), "\u0001")

default marked(_) := false

marked(text) if contains(text, "*")

marked(text) if contains(text, "\\")

marked(text) if contains(text, "`")

marked(text) if not only_ascii(text)

# ASCII has as many bytes as characters; base64 makes four characters of every three bytes. Cheaper than a search for
# each invisible character.
only_ascii(text) if count(base64.encode(concat("", [text, text, text]))) == 4 * count(text)

# Marks of emphasis and escape, invisible characters, and the spaces and hyphens beyond ASCII.
marks := [
	"*",
	"`",
	"\\",
	"\u00a0",
	"\u00ad",
	"\u034f",
	"\u115f",
	"\u180e",
	"\u2002",
	"\u2003",
	"\u2009",
	"\u200a",
	"\u200b",
	"\u200c",
	"\u200d",
	"\u200e",
	"\u200f",
	"\u2010",
	"\u2011",
	"\u2012",
	"\u2013",
	"\u2014",
	"\u202f",
	"\u2060",
	"\u2061",
	"\u2062",
	"\u2063",
	"\u2064",
	"\u3000",
	"\ufeff",
]

# Lists do have an order, so a word may go from one text of a list into the next, or from one object of it into the
# same field of the next. Each such reading as one text, for every list in a value; fields in `besides` hold no words.
readings_of_lists(value, besides) := [reading |
	walk(value, [_, list])
	is_array(list)
	count(list) > 1
	some reading in array.concat([concat("\n", [text | some text in list; is_string(text)])], columns(list, besides))
]

columns(list, besides) := [concat("\n", [text | some item in list; is_object(item); text := item[name]; is_string(text)]) |
	some name in {name | some item in list; is_object(item); some name, _ in item; not name in besides}
]

# HTML without its tags, in two readings, so that `seed<b></b> phrase` reads as it shows. A tag may hold a `>` of its
# own, and so may text: one reading ends each tag at its first `>`, the other at the last one before the next tag.
readings_of_html(html) := [untagged(parts, "first"), untagged(parts, "last")] if {
	has_markup(html)
	parts := split(strings.replace_n(references, html), "<")
}

has_markup(html) if contains(html, "<")

has_markup(html) if contains(html, "&")

untagged(parts, end) := concat("", array.concat(
	[parts[0]],
	[after_tag(part, end) | some index, part in parts; index > 0],
))

after_tag(part, "first") := substring(part, indexof(part, ">") + 1, -1)

after_tag(part, "last") := pieces[count(pieces) - 1] if pieces := split(part, ">")

references := {
	"&nbsp;": "",
	"&shy;": "",
	"&zwnj;": "",
	"&zwj;": "",
	"&lowbar;": "",
	"&hyphen;": "",
	"&#8203;": "",
	"&#xa0;": "",
	"&#160;": "",
	"&#173;": "",
}

# A letter, digit or underscore written as a numeric character reference, with or without its semicolon.
hidden_letters(html) if {
	some index, part in split(html, "&#")
	index > 0
	letter_reference(lower(part))
}

letter_reference(part) if {
	digits := trim_left(part, "0")
	some length in [2, 3]
	not substring(digits, length, 1) in decimals
	code := to_number(substring(digits, 0, length))
	some [low, high] in [[48, 57], [65, 90], [95, 95], [97, 122]]
	code >= low
	code <= high
}

letter_reference(part) if {
	startswith(part, "x")
	digits := trim_left(substring(part, 1, -1), "0")
	substring(digits, 0, 1) in ["3", "4", "5", "6", "7"]
	substring(digits, 1, 1) in hexadecimals
	not substring(digits, 2, 1) in hexadecimals
	not substring(digits, 0, 2) in ["3c", "3d", "3e", "3f", "7b", "7c", "7d", "7e", "7f"]
}

decimals := ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]

hexadecimals := array.concat(decimals, ["a", "b", "c", "d", "e", "f"])
