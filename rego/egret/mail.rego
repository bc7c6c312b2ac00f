# What policies ask about a mail, or about anything else with recipients and words: who gets it, and what it says.
# Reads the normalised arguments `to cc bcc subject text html`. Whatever cannot be read counts as a recipient that
# nobody has allowed, so a check over all recipients fails on it.
package egret.mail

import data.egret.words

default arguments := {}

arguments := input.arguments

# Every address in To, Cc and Bcc, in lower case. A value that is no text stands for itself.
recipients contains address(value) if {
	some field in address_fields
	some value in listed(arguments[field])
}

# Arguments that also hold an address, under a name nobody mapped: as good as a hidden recipient.
recipients contains $"argument {name}" if {
	some name, value in arguments
	not name in ordinary_fields
	holds_address(value)
}

domains contains domain(recipient) if some recipient in recipients

# All recipients are on the list, and there is at least one.
only_to(addresses) if {
	count(recipients) > 0
	allowed := [lower(address) | some address in addresses]
	every recipient in recipients { recipient in allowed }
}

only_to_domains(names) if {
	count(domains) > 0
	allowed := [lower(name) | some name in names]
	every name in domains { name in allowed }
}

default attachments := []

attachments := input.attachments

attachment_bytes := sum([attachment.bytes | some attachment in attachments]) if {
	every attachment in attachments { is_number(attachment.bytes) }
}

# Subject, bodies, other arguments or attachment names contain one of the words, however they are spaced,
# hyphenated, capitalised or marked up.
says_any(list) if holds_any(list)

# Letters of an HTML body spelled as character references: nobody writes so who does not hide something.
says_any(_) if words.hidden_letters(arguments.html)

says(phrase) if says_any([phrase])

# As `says_any`, for words that must be there: nothing is suspected.
holds_any(list) if {
	some word in words.needles(list)
	contains(everything, word)
}

subject_says_any(list) if {
	subject := words.squeezed(arguments.subject, has_marks)
	some word in words.needles(list)
	contains(subject, word)
}

subject_says_any(_) if {
	subject := arguments.subject
	not is_string(subject)
}

subject_says(phrase) if subject_says_any([phrase])

everything := words.squeezed(text, has_marks)

has_marks := words.marked(text)

# What stands apart stays apart: fields have no order, and no word goes from one into the next.
text := concat("\u0001", array.concat(
	array.concat([value | some value in arguments; is_string(value)], array.concat(nested_texts, readings_of_lists)),
	array.concat(html_readings, [attachment.name | some attachment in attachments; is_string(attachment.name)]),
))

nested_texts := [nested |
	some name, value in arguments
	not is_string(value)
	not name in address_fields
	walk(value, [path, nested])
	is_string(nested)
	not file_content(path)
]

default html_readings := []

html_readings := words.readings_of_html(arguments.html)

readings_of_lists := [reading |
	some name, value in arguments
	not is_string(value)
	not name in address_fields
	some reading in words.readings_of_lists(value, content_fields)
]

# The bytes of a structured attachment, which are not words.
file_content(path) if path[count(path) - 1] in content_fields

content_fields := ["content", "data"]

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

address_fields := ["to", "cc", "bcc"]

# Arguments that may hold an `@` without anybody receiving anything.
ordinary_fields := ["to", "cc", "bcc", "from", "subject", "text", "html", "userId"]

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
