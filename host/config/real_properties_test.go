//go:build real

package config

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// odd are files as people write them, with Windows' ends of lines, comments, escapes and what else they hold.
var odd = []string{
	"name=x\r\n# a comment\r\n! another one\r\ntopic : y \r\n", "a=1,\\\r\n   2,\\\n\t3\n", "a=\n b = \nc\n",
	"a=b=c\na:d\n",
	"pfad=C:\\\\temp\\\\x\npath=C:\\temp\\new\n", "gr\\u00f6\\u00DFe=\\uD83D\\uDE00 \\u00e4\n", "a=1\\\n\nb=2",
	"a=1\\\n#no comment\nb=2",
	"a=1\\\n!no comment", "\\\na=1", "\\\n\\\n=1", "a\\\n  b=1", "a\\\n=1", "a=\\", "a \\\n = 1", "a=1\\\n   \\\n   2",
	"  \\\n# x=1\ny=2", "\\\\\n",
	"#\\\na=1", "key\\ with\\ blanks = v", "\\#k=1\n\\!l=2", "a\\=b=c", "a\\:b:c", "=v", ":v", " = v", "a\u00a0=1",
	"\u2028a=1", "\fa\f=\f1\f", "a\t\t1",
	"a=\\u12", "a=\\u12g4", "a=\\U0041", "a=\\x41", "sap.odata#00.topic=T", "a=${file:/run/x:pwd}\nb=${env:X}",
	"a=1\rb=2\rc=3", "a=1\r\\\nb=2", "\ufeffa=1",
}

// TestRealProperties reads odd files and files by chance as java.util.Properties does. One thing differs: where a file
// ends in a line of a backslash alone, Java finds a setting without a name and a value there, and here is none.
func TestRealProperties(t *testing.T) {
	const many, most = 30_000, 24
	texts := slices.Clone(odd)
	r := rand.New(rand.NewPCG(1, 2))
	letters := []rune("ab =:\t\f\\\\\\\n\n\r#!u0041ä\u00a0")
	for range many {
		text := make([]rune, 1+r.IntN(most))
		for i := range text {
			text[i] = letters[r.IntN(len(letters))]
		}
		texts = append(texts, string(text)+"\nz")
	}
	var in bytes.Buffer
	for _, text := range texts {
		fmt.Fprintln(&in, hex.EncodeToString([]byte(text)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	java := exec.CommandContext(ctx, "../../testdata/peers/kafka/tool.sh", "testdata/Load.java")
	java.WaitDelay = time.Minute
	var stderr bytes.Buffer
	java.Stdin, java.Stderr = &in, &stderr
	out, err := java.Output()
	if err != nil {
		t.Fatalf("Java: %v\n%s", err, stderr.Bytes())
	}
	answers := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(answers) != len(texts) {
		t.Fatalf("expected %d answers, found %d", len(texts), len(answers))
	}
	wrong := 0
	for i, text := range texts {
		if found := asJava(text); found != answers[i] {
			if wrong++; wrong <= 20 {
				t.Errorf("%q:\nJava %s\nhere %s", text, answers[i], found)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d differ", wrong, len(texts))
	}
}

// asJava is what readProperties finds in the form that Load.java prints.
func asJava(text string) string {
	entries, problems := readProperties("x", []byte(text))
	if problems.Err() != nil {
		return "refused"
	}
	last := map[string]string{}
	var keys []string
	for _, e := range entries {
		key := hex.EncodeToString([]byte(e.Key))
		if _, known := last[key]; !known {
			keys = append(keys, key)
		}
		last[key] = hex.EncodeToString([]byte(e.Raw))
	}
	slices.Sort(keys)
	for i, key := range keys {
		keys[i] = key + "=" + last[key]
	}
	return "{" + strings.Join(keys, ", ") + "}"
}
