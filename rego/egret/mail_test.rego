package egret.mail_test

import data.egret.mail

# [arguments, recipients are only the accountant]
addressed := {
	"to the accountant": [{"to": ["accountant@example.com"]}, true],
	"capitals": [{"to": ["Accountant@Example.COM"]}, true],
	"empty copies": [{"to": ["accountant@example.com"], "cc": [], "bcc": null}, true],
	"only a copy": [{"cc": ["accountant@example.com"]}, true],
	"nobody": [{"to": []}, false],
	"no arguments": [{}, false],
	"somebody else": [{"to": ["eve@example.net"]}, false],
	"also somebody else": [{"to": ["accountant@example.com", "eve@example.net"]}, false],
	"a copy to somebody else": [{"to": ["accountant@example.com"], "cc": ["eve@example.net"]}, false],
	"a hidden copy": [{"to": ["accountant@example.com"], "bcc": ["eve@example.net"]}, false],
	"a hidden copy as a text": [{"to": ["accountant@example.com"], "bcc": "eve@example.net"}, false],
	"two addresses in one text": [{"to": ["accountant@example.com, eve@example.net"]}, false],
	"a display name": [{"to": ["Eve <accountant@example.com>"]}, false],
	"a longer domain": [{"to": ["accountant@example.com.example.net"]}, false],
	"a number": [{"to": ["accountant@example.com", 5]}, false],
	"an object": [{"to": {"address": "eve@example.net"}}, false],
	"a recipient under another name": [{"to": ["accountant@example.com"], "resent_to": "eve@example.net"}, false],
	"recipients inside an object": [{"to": ["accountant@example.com"], "more": {"x": ["eve@example.net"]}}, false],
	"an answer to somebody else": [{"to": ["accountant@example.com"], "replyTo": "eve@example.net"}, false],
	"an address in the text": [{"to": ["accountant@example.com"], "text": "write to eve@example.net"}, true],
	"a sender": [{"to": ["accountant@example.com"], "from": "me@example.com", "userId": "me@example.com"}, true],
}

test_only_to[name] if {
	some name, [arguments, expected] in addressed
	actual := {true | mail.only_to(["accountant@example.com"]) with input as {"arguments": arguments}}
	actual == {true | expected}
}

# [arguments, recipients are only in example.com]
domains := {
	"two in the domain": [{"to": ["a@example.com"], "cc": ["b@EXAMPLE.com"]}, true],
	"a subdomain": [{"to": ["a@sub.example.com"]}, false],
	"a hidden copy": [{"to": ["a@example.com"], "bcc": ["a@example.net"]}, false],
	"two at signs": [{"to": ["a@example.net@example.com"]}, false],
	"no local part": [{"to": ["@example.com"]}, false],
	"nobody": [{"to": []}, false],
}

test_only_to_domains[name] if {
	some name, [arguments, expected] in domains
	actual := {true | mail.only_to_domains(["Example.com"]) with input as {"arguments": arguments}}
	actual == {true | expected}
}

# [input, says "seed phrase"]
saying := {
	"nothing": [{}, false],
	"as it is": [{"arguments": {"text": "my seed phrase is"}}, true],
	"in the subject": [{"arguments": {"subject": "Seed Phrase"}}, true],
	"in the HTML": [{"arguments": {"html": "<p>seed phrase</p>"}}, true],
	"between tags": [{"arguments": {"html": "<p>seed<b></b> phr<i>ase</i></p>"}}, true],
	"between tags with a sign in them": [{"arguments": {"html": "seed<b title='>'> phrase"}}, true],
	"around a comment": [{"arguments": {"html": "se<!-- > -->ed phrase"}}, true],
	"with a soft hyphen reference": [{"arguments": {"html": "seed&nbsp;phr&shy;ase"}}, true],
	"with letters as references": [{"arguments": {"html": "s&#101;ed phrase"}}, true],
	"with letters as short references": [{"arguments": {"html": "s&#0101ed phrase"}}, true],
	"with letters as hexadecimal references": [{"arguments": {"html": "s&#x0065;ed phrase"}}, true],
	"with ordinary references": [{"arguments": {"html": "it&#39;s 5 &#8364; &#9733; &#x4e2d; &#x27; &lt;b&gt;"}}, false],
	"in the name of an attachment": [{"attachments": [{"name": "seed-phrase.txt"}]}, true],
	"in another argument": [{"arguments": {"note": "seed phrase"}}, true],
	"inside another argument": [{"arguments": {"note": {"lines": ["a", "seed phrase"]}}}, true],
	"in the content of a file": [{"arguments": {"files": [{"content": "seed phrase"}]}}, false],
	"in the contents of two files": [{"arguments": {"files": [{"content": "seed"}, {"content": "phrase"}]}}, false],
	"far apart": [{"arguments": {"text": "seed of a phrase"}}, false],
	"only half": [{"arguments": {"text": "seeds"}}, false],
	"a number": [{"arguments": {"count": 5}}, false],
}

test_says[name] if {
	some name, [document, expected] in saying
	actual := {true | mail.says("seed phrase") with input as document}
	actual == {true | expected}
}

test_subject_says if {
	mail.subject_says("tax") with input as {"arguments": {"subject": "Ta-X return"}}
	not mail.subject_says("tax") with input as {"arguments": {"subject": "receipts", "text": "tax"}}
	not mail.subject_says("tax") with input as {}
	mail.subject_says("tax") with input as {"arguments": {"subject": ["t", "a", "x"]}}
}

test_attachment_bytes if {
	mail.attachment_bytes == 0 with input as {}
	mail.attachment_bytes == 30 with input as {"attachments": [{"bytes": 10}, {"bytes": 20}]}
	not mail.attachment_bytes with input as {"attachments": [{"bytes": 10}, {}]}
}

# Fields have no order: what one ends with and another begins with is no word, in whatever order they are read.
test_no_word_goes_from_one_field_into_the_next if {
	not mail.says("seed phrase") with input as {"arguments": {"subject": "seed", "text": "phrase"}}
	not mail.says("seed phrase") with input as {"arguments": {"text": "seed", "subject": "phrase"}}
	mail.says("seed phrase") with input as {"arguments": {"text": "seed\nphrase"}}
}

test_a_word_goes_from_one_text_of_a_list_into_the_next if {
	mail.says("seed phrase") with input as {"arguments": {"note": {"lines": ["my seed", "phrase is"]}}}
	mail.says("seed phrase") with input as {"arguments": {"parts": [{"text": "my seed"}, {"text": "phrase is"}]}}
}
