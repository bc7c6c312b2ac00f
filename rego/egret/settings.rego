# The settings of a policy are what it takes them for. A list that is no list must not read as an empty one.
package egret.settings

# A list of texts, perhaps empty.
texts(list) if {
	is_array(list)
	every text in list {
		is_string(text)
		trim_space(text) != ""
	}
}

# At least one text.
some_texts(list) if {
	texts(list)
	count(list) > 0
}
