# What policies ask about the arguments of any call: which are there, what they say, how much they amount to. Whatever
# cannot be read holds nothing, so a policy allows on a yes from here and never on the lack of one.
package egret.arguments

import data.egret.settings
import data.egret.words

default given := {}

given := input.arguments if is_object(input.arguments)

# All of the call could be read.
readable if input.arguments_state in ["parsed", "none"]

# No argument but these. What a tool does with an argument that the policy has never heard of, nobody knows.
only(names) if {
	every name, _ in given { name in names }
}

# One of these arguments is there, and each that is there has a value on the list.
only_values(names, list) if {
	values := [given[name] | some name in names]
	count(values) > 0
	every value in values { value in list }
}

# A number, or the plain decimal text of one, as forms carry them.
number(value) := value if is_number(value)

number(value) := to_number(value) if {
	is_string(value)
	regex.match(`^[0-9]{1,15}([.][0-9]{1,9})?$`, value)
}

# Above zero and up to a maximum, which must be a number: every text is greater than every number.
at_most(value, max) if {
	is_number(max)
	amount := number(value)
	amount > 0
	amount <= max
}

# The words of a list are neither in a value nor in a name, at any depth, however they are spaced or marked up.
silent_on(list) if {
	settings.texts(list)
	found := [word | some word in words.needles(list); word != ""; contains(everything, word)]
	count(found) == 0
}

everything := words.squeezed(text, words.marked(text))

# What stands apart stays apart: arguments have no order, and no word goes from one into the next.
text := concat("\u0001", array.concat(
	values_at_any_depth,
	array.concat(names_at_any_depth, words.readings_of_lists(given, [])),
))

values_at_any_depth := [value |
	walk(given, [_, value])
	is_string(value)
]

names_at_any_depth := [name |
	walk(given, [path, _])
	count(path) > 0
	name := path[count(path) - 1]
	is_string(name)
]
