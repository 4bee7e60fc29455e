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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/secret"
)

func ExampleRedactor_Redact() {
	var redactor secret.Redactor
	remove := redactor.Add("s3cr3t/Passw0rd")
	fmt.Println(redactor.Redact(`401: user "U", password "s3cr3t/Passw0rd"`))
	fmt.Println(redactor.Redact("token?client_secret=s3cr3t%2FPassw0rd"))
	remove()
	fmt.Println(redactor.Redact("s3cr3t/Passw0rd"))
	// Output:
	// 401: user "U", password "[hidden]"
	// token?client_secret=[hidden]
	// s3cr3t/Passw0rd
}

// Secrets are replaced in all encodings, also pieces of them; texts that are equal by chance are not.
func TestStrike(t *testing.T) {
	const odd = "p\"ä<\n>&/ \\ü%x?"
	const jaas = `org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="hush";`
	inJSON, _ := json.Marshal(odd)
	for name, c := range map[string]struct{ secret, text, want string }{
		"as it is":      {secret: "Welcome1!", text: "with Welcome1! it fails", want: "with [hidden] it fails"},
		"other letters": {secret: "My.Host.Example", text: "dial my.host.example: no", want: "dial [hidden]: no"},
		"twice":         {secret: "Welcome1!", text: "Welcome1!, Welcome1!", want: "[hidden], [hidden]"},
		"cut off": {secret: "a-long-secret-of-many-bytes", text: `found "a-long-secre…"`,
			want: `found "[hidden]…"`},
		"its end":          {secret: "a-long-secret-of-many-bytes", text: "...any-bytes", want: "...[hidden]"},
		"JSON":             {secret: odd, text: string(inJSON), want: `"[hidden]"`},
		"Go":               {secret: odd, text: fmt.Sprintf("%q", odd), want: `"[hidden]"`},
		"Go in ASCII":      {secret: odd, text: fmt.Sprintf("%+q", odd), want: `"[hidden]"`},
		"query":            {secret: odd, text: "a=" + url.QueryEscape(odd), want: "a=[hidden]"},
		"path":             {secret: odd, text: "/" + url.PathEscape(odd), want: "/[hidden]"},
		"HTML":             {secret: odd, text: "<b>" + html.EscapeString(odd) + "</b>", want: "<b>[hidden]</b>"},
		"blanks around":    {secret: " Welcome1!\n", text: "Welcome1!", want: "[hidden]"},
		"short":            {secret: "100", text: "100 of 1000", want: "100 of 1000"},
		"a word of a list": {secret: "orders, root, items", text: "no root in rooted", want: "no [hidden] in rooted"},
		"a word of a phrase": {secret: "hunter2-of-the user", text: "sap-user of the other user",
			want: "sap-user of the other user"},
		"a word of a class":    {secret: jaas, text: "kafka.virtual:9092", want: "kafka.virtual:9092"},
		"a password of a pair": {secret: "joe:hush", text: "found hush", want: "found [hidden]"},
		"a value of JAAS":      {secret: jaas, text: "found hush", want: "found [hidden]"},
		"empty":                {secret: " ", text: "a b", want: "a b"},
		"true":                 {secret: "true", text: "expected true", want: "expected true"},
		"a scheme is none": {secret: "https://my.example", text: "no https://, https://my.example",
			want: "no https://, https://[hidden]"},
		"part of a character":  {secret: "\xb6\xb6\xb6\xb6", text: "ö\xb6\xb6\xb6\xb6", want: "[hidden]"},
		"a piece":              {secret: "Welcome1!", text: "Welcome", want: "[hidden]"},
		"less than a piece":    {secret: "Welcome1!", text: "Welco", want: "Welco"},
		"of four":              {secret: "abcd", text: "xabcdx abc", want: "x[hidden]x abc"},
		"inside of characters": {secret: "日本語日本語", text: "x日本語日本語y", want: "x[hidden]y"},
	} {
		var redactor secret.Redactor
		redactor.Add(c.secret)
		if got := redactor.Redact(c.text); got != c.want || (!utf8.ValidString(got) && utf8.ValidString(c.text)) {
			t.Errorf("%s: expected %q, found %q", name, c.want, got)
		}
	}
	for prefixBytes := range 4 {
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			var redactor secret.Redactor
			redactor.Add("s3cr3t?Passw0rd>")
			encoded := encoding.EncodeToString([]byte(strings.Repeat("u", prefixBytes) + "s3cr3t?Passw0rd>after"))
			got := redactor.Redact("Basic " + encoded)
			assert.True(t, strings.Contains(got, secret.Hidden) && len(got) <= 6+8+8+prefixBytes+8,
				"after %d bytes: expected the secret hidden in %q, found %q", prefixBytes, encoded, got)
		}
	}
}

// A redacted document is valid JSON.
func TestJSONStaysJSON(t *testing.T) {
	var redactor secret.Redactor
	redactor.Add("Welcome1!", "44300", `a"b\c`)
	for document, want := range map[string]string{
		"{\n  \"a\": \"with Welcome1!\",\n  \"b\":44300}": "{\n  \"a\": \"with [hidden]\",\n  \"b\":\"[hidden]\"}",
		`{"Welcome1!":-44300.5e+2}`:                       `{"[hidden]":"-[hidden].5e+2"}`,
		`["\u0057elcome1!","a\"b\\c","\"","x\u0020y"]`:    `["[hidden]","[hidden]","\"","x\u0020y"]`,
		"nothing with Welcome1!":                          "nothing with [hidden]",
		`{"a":[true,null,1.5,"\ud83d\ude00",""]} `:        `{"a":[true,null,1.5,"\ud83d\ude00",""]} `,
		"": "",
	} {
		assert.Equal(t, want, secret.RedactJSON(document, redactor.Redact), document)
	}
}

// A secret that was added twice is redacted until both are removed.
func TestSecretAddedTwice(t *testing.T) {
	var redactor secret.Redactor
	removeFirst := redactor.Add("Welcome1!", "one, four")
	removeSecond := redactor.Add("Welcome1!", "one, four")
	removeFirst()
	removeFirst()
	assert.Equal(t, "[hidden] [hidden]", redactor.Redact("Welcome1! four"), "added once more")
	removeSecond()
	assert.Equal(t, "Welcome1! four", redactor.Redact("Welcome1! four"), "removed: the unchanged text")
	var none *secret.Redactor
	assert.Equal(t, "text", none.Redact("text"), "a nil redactor: the unchanged")
}

// Texts with a part of a secret beyond the bounds are hidden as a whole; with too many secrets, all texts are.
func TestStrikeBounds(t *testing.T) {
	var redactor secret.Redactor
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintln(&b, i)
	}
	remove := redactor.Add(b.String())
	for text, want := range map[string]string{
		"found " + b.String(): secret.Hidden,
		"another text":        "another text",
	} {
		got := redactor.Redact(text)
		assert.True(t, got == want, "a long secret: expected %q, found %d bytes: %.100s", want, len(got), got)
	}
	remove()
	defer secret.WithCapacity(100)()
	remove = redactor.Add("a secret of some bytes that takes too many windows")
	assert.Equal(t, secret.Hidden, redactor.Redact("another text"), "too many secrets")
	remove()
	assert.Equal(t, "another text", redactor.Redact("another text"), "after the removal: the unchanged text")
}
