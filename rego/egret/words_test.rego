package egret.words_test

import data.egret.words

# All of them are the same words.
spellings := [
	"api_key", "api key", "api-key", "API KEY", "api \t\r\n key", "a p i k e y", "ap\u200bi_ke\u00ady",
	"api\u00a0key", "api\u2011key", "**api** _key_", "api\\_key", "`api` key", "api\ufeffkey", "api\u3000key",
]

test_spellings[spelling] if {
	some spelling in spellings
	words.squeezed(spelling, words.marked(spelling)) == "apikey"
}

test_other_letters_stay if words.squeezed("Größe über Ägypten", true) == "größeüberägypten"

test_needles if {
	words.needles(["Seed phrase", "tax"]) == ["seedphrase", "tax"]
	words.needles([" - "]) == [""]
}

test_only_ascii if {
	words.only_ascii("")
	words.only_ascii("plain")
	not words.only_ascii("\u00e9")
	not words.only_ascii("plain text with one \u200b")
}
