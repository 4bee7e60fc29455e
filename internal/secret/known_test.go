package secret_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/secret"
)

func ExampleRedactor_Redact() {
	var known secret.Redactor
	forget := known.Add("s3cr3t/Passw0rd")
	fmt.Println(known.Redact(`401: user "U", password "s3cr3t/Passw0rd"`))
	fmt.Println(known.Redact("token?client_secret=s3cr3t%2FPassw0rd"))
	forget()
	fmt.Println(known.Redact("s3cr3t/Passw0rd"))
	// Output:
	// 401: user "U", password "[hidden]"
	// token?client_secret=[hidden]
	// s3cr3t/Passw0rd
}

func TestStrike(t *testing.T) {
	const odd = "p\"ä<\n>&/ \\ü%x?"
	const jaas = `org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="hush";`
	inJSON, _ := json.Marshal(odd)
	for name, c := range map[string]struct{ secret, text, want string }{
		"as it is":             {"Welcome1!", "with Welcome1! it fails", "with [hidden] it fails"},
		"other letters":        {"My.Host.Example", "dial my.host.example: no", "dial [hidden]: no"},
		"twice":                {"Welcome1!", "Welcome1!, Welcome1!", "[hidden], [hidden]"},
		"cut off":              {"a-long-secret-of-many-bytes", `found "a-long-secre…"`, `found "[hidden]…"`},
		"its end":              {"a-long-secret-of-many-bytes", "...any-bytes", "...[hidden]"},
		"JSON":                 {odd, string(inJSON), `"[hidden]"`},
		"Go":                   {odd, fmt.Sprintf("%q", odd), `"[hidden]"`},
		"Go in ASCII":          {odd, fmt.Sprintf("%+q", odd), `"[hidden]"`},
		"query":                {odd, "a=" + url.QueryEscape(odd), "a=[hidden]"},
		"path":                 {odd, "/" + url.PathEscape(odd), "/[hidden]"},
		"HTML":                 {odd, "<b>" + html.EscapeString(odd) + "</b>", "<b>[hidden]</b>"},
		"blanks around":        {" Welcome1!\n", "Welcome1!", "[hidden]"},
		"short":                {"100", "100 of 1000", "100 of 1000"},
		"a word of a list":     {"orders, root, items", "no root in rooted", "no [hidden] in rooted"},
		"a word of a phrase":   {"hunter2-of-the user", "sap-user of the other user", "sap-user of the other user"},
		"a word of a class":    {jaas, "kafka.virtual:9092", "kafka.virtual:9092"},
		"a password of a pair": {"joe:hush", "found hush", "found [hidden]"},
		"a value of JAAS":      {jaas, "found hush", "found [hidden]"},
		"empty":                {" ", "a b", "a b"},
		"true":                 {"true", "expected true", "expected true"},
		"a scheme is none":     {"https://my.example", "no https://, https://my.example", "no https://, https://[hidden]"},
		"part of a character":  {"\xb6\xb6\xb6\xb6", "ö\xb6\xb6\xb6\xb6", "[hidden]"},
		"a piece":              {"Welcome1!", "Welcome", "[hidden]"},
		"less than a piece":    {"Welcome1!", "Welco", "Welco"},
		"of four":              {"abcd", "xabcdx abc", "x[hidden]x abc"},
		"inside of characters": {"日本語日本語", "x日本語日本語y", "x[hidden]y"},
	} {
		var known secret.Redactor
		known.Add(c.secret)
		if got := known.Redact(c.text); got != c.want || (!utf8.ValidString(got) && utf8.ValidString(c.text)) {
			t.Errorf("%s: expected %q, found %q", name, c.want, got)
		}
	}
	for before := range 4 {
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			var known secret.Redactor
			known.Add("s3cr3t?Passw0rd>")
			encoded := encoding.EncodeToString([]byte(strings.Repeat("u", before) + "s3cr3t?Passw0rd>after"))
			got := known.Redact("Basic " + encoded)
			if !strings.Contains(got, secret.Hidden) || len(got) > 6+8+8+before+8 {
				t.Errorf("after %d bytes: %q leaves %q", before, encoded, got)
			}
		}
	}
}

// A redacted document is valid JSON.
func TestJSONStaysJSON(t *testing.T) {
	var known secret.Redactor
	known.Add("Welcome1!", "44300", `a"b\c`)
	for document, want := range map[string]string{
		"{\n  \"a\": \"with Welcome1!\",\n  \"b\":44300}": "{\n  \"a\": \"with [hidden]\",\n  \"b\":\"[hidden]\"}",
		`{"Welcome1!":-44300.5e+2}`:                       `{"[hidden]":"-[hidden].5e+2"}`,
		`["\u0057elcome1!","a\"b\\c","\"","x\u0020y"]`:    `["[hidden]","[hidden]","\"","x\u0020y"]`,
		"nothing with Welcome1!":                          "nothing with [hidden]",
		`{"a":[true,null,1.5,"\ud83d\ude00",""]} `:        `{"a":[true,null,1.5,"\ud83d\ude00",""]} `,
		"": "",
	} {
		if got := secret.RedactJSON(document, known.Redact); got != want {
			t.Errorf("of %s: expected %s, found %s", document, want, got)
		}
	}
}

// A secret that was added twice is redacted until both are removed.
func TestSecretAddedTwice(t *testing.T) {
	var known secret.Redactor
	first := known.Add("Welcome1!", "one, four")
	second := known.Add("Welcome1!", "one, four")
	first()
	first()
	if got := known.Redact("Welcome1! four"); got != "[hidden] [hidden]" {
		t.Errorf("known once more: found %q", got)
	}
	second()
	if got := known.Redact("Welcome1! four"); got != "Welcome1! four" {
		t.Errorf("forgotten: found %q", got)
	}
	var none *secret.Redactor
	if got := none.Redact("text"); got != "text" {
		t.Errorf("nil: found %q", got)
	}
}

// Texts with a part of a secret beyond the bounds are hidden as a whole; with too many secrets, all texts are.
func TestStrikeBounds(t *testing.T) {
	var known secret.Redactor
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintln(&b, i)
	}
	forget := known.Add(b.String())
	for text, want := range map[string]string{"found " + b.String(): secret.Hidden, "another text": "another text"} {
		if got := known.Redact(text); got != want {
			t.Errorf("a long one: found %d bytes: %.100s", len(got), got)
		}
	}
	forget()
	defer secret.WithCapacity(100)()
	forget = known.Add("a secret of some bytes that takes too many windows")
	if got := known.Redact("another text"); got != secret.Hidden {
		t.Errorf("too much: found %q", got)
	}
	forget()
	if got := known.Redact("another text"); got != "another text" {
		t.Errorf("found %q", got)
	}
}
