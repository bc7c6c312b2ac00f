# What policies ask about a mail, or about anything else with recipients and words: who gets it, and what it says.
# Reads the normalised arguments `to cc bcc subject text html`. Whatever cannot be read counts as a recipient that
# nobody has allowed, so a check over all recipients fails on it.
package egret.mail

arguments := object.get(input, "arguments", {})

# Every address in To, Cc and Bcc, in lower case. A value that is no text stands for itself.
recipients contains address(value) if {
	some field in ["to", "cc", "bcc"]
	some value in listed(arguments[field])
}

# Arguments that also hold an address, under a name nobody mapped: as good as a hidden recipient.
recipients contains $"argument {name}" if {
	some name, value in arguments
	not ordinary_fields[name]
	holds_address(value)
}

domains contains domain(recipient) if some recipient in recipients

# All recipients are on the list, and there is at least one.
only_to(addresses) if {
	count(recipients) > 0
	count(recipients - {lower(address) | some address in addresses}) == 0
}

only_to_domains(names) if {
	count(domains) > 0
	count(domains - {lower(name) | some name in names}) == 0
}

default attachments := []

attachments := input.attachments

attachment_bytes := sum([attachment.bytes | some attachment in attachments]) if {
	every attachment in attachments { is_number(attachment.bytes) }
}

# True when subject, bodies, other arguments or attachment names contain the words, however they are spaced,
# hyphenated, capitalised or marked up.
says(words) if contains(everything, squeezed_words(words))

# Letters of an HTML body spelled as character references: nobody writes so who does not hide something.
says(_) if hidden_letters

subject_says(words) if contains(squeezed(text_of(arguments.subject)), squeezed_words(words))

subject_says(_) if {
	subject := arguments.subject
	not is_string(subject)
}

everything := squeezed(concat("\n", texts))

texts := array.concat(
	[text | some name, value in arguments; not address_fields[name]; some text in texts_in(name, value)],
	[attachment.name | some attachment in attachments],
)

texts_in("html", value) := [value, untagged(value, "first"), untagged(value, "last")] if is_string(value)

texts_in(name, value) := [value] if {
	is_string(value)
	name != "html"
}

texts_in(_, value) := [text |
	walk(value, [path, text])
	is_string(text)
	not file_content(path)
] if {
	not is_string(value)
}

# The bytes of a structured attachment, which are not words.
file_content(path) if path[count(path) - 1] in ["content", "data"]

# One form for every way to write the same words: lower case, nothing that spaces, joins, hides or marks up.
squeezed(text) := strings.replace_n(plain, strings.replace_n(odd, lower(text))) if {
	odd := {character: "" | some character in odd_characters; contains(text, character)}
	count(odd) > 0
} else := strings.replace_n(plain, lower(text))

# The words of a policy: `errors` of YAML policies refuses the odd characters in them.
squeezed_words(words) := strings.replace_n(plain, lower(words))

plain := {" ": "", "-": "", "_": "", "\n": "", "\r": "", "\t": ""}

odd_characters := [
	"*", "`", "\\", "~",
	"\u00a0", "\u00ad", "\u180e", "\u2009", "\u200a", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f",
	"\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u202f", "\u2060", "\ufeff",
]

# HTML without its tags, so that `seed<b></b> phrase` reads as it shows. A tag may hold a `>` of its own, and so may
# text: `last` takes each tag to end at the last one before the next tag, `first` at the first.
untagged(html, until) := concat("", array.concat([parts[0]], [after_tag(part, until) |
	some index, part in parts
	index > 0
])) if {
	parts := split(strings.replace_n(references, html), "<")
}

after_tag(part, "first") := substring(part, indexof(part, ">") + 1, -1)

after_tag(part, "last") := pieces[count(pieces) - 1] if pieces := split(part, ">")

references := {"&nbsp;": "", "&shy;": "", "&zwnj;": "", "&zwj;": "", "&#8203;": "", "&#173;": "", "&#xa0;": "", "&lowbar;": ""}

hidden_letters if {
	some index, part in split(arguments.html, "&#")
	index > 0
	letter_reference(lower(part))
}

letter_reference(part) if {
	some digits in [3, 2]
	code := to_number(substring(trim_left(part, "0"), 0, digits))
	some [low, high] in [[48, 57], [65, 90], [95, 95], [97, 122]]
	code >= low
	code <= high
}

letter_reference(part) if {
	startswith(part, "x")
	hex := trim_left(substring(part, 1, -1), "0")
	contains("34567", substring(hex, 0, 1))
	contains("0123456789abcdef", substring(hex, 1, 1))
	not contains("0123456789abcdef", substring(concat("", [hex, ";"]), 2, 1))
	not substring(hex, 0, 2) in {"3a", "3b", "3c", "3d", "3e", "3f", "7b", "7c", "7d", "7e", "7f"}
}

text_of(value) := value if is_string(value)

address(value) := lower(trim_space(value)) if is_string(value)

address(value) := value if not is_string(value)

domain(recipient) := name if {
	[local, name] := split(recipient, "@")
	local != ""
} else := ""

listed(value) := value if is_array(value)

listed(value) := [value] if {
	not is_array(value)
	not is_null(value)
}

address_fields := {"to", "cc", "bcc"}

# Arguments that may hold an `@` without anybody receiving anything.
ordinary_fields := {"to", "cc", "bcc", "from", "subject", "text", "html", "userId", "attachments"}

holds_address(value) if {
	is_string(value)
	contains(value, "@")
}

holds_address(value) if {
	not is_string(value)
	walk(value, [_, text])
	is_string(text)
	contains(text, "@")
}
