package jsontext_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
)

var documents = []string{`null`, `{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t",true,false,null],"b":{}}`, `[]`,
	` [ 1 , 2 ] `, `"\ud800"`, `"ü"`,
	`{`, `[1,]`, `{"a"}`, `{"a":1,}`, `"a`, `"\x"`, "\"\n\"", `1 2`, ``, `-`, `1e`, `tru`, `{"a":1}x`, `"\u12g4"`}

// TestAgainstStandard compares with encoding/json: which documents are valid, and their values after writing.
func TestAgainstStandard(t *testing.T) {
	for _, d := range documents {
		compare(t, []byte(d))
	}
}

func compare(t *testing.T, document []byte) {
	t.Helper()
	v, err := jsontext.Parse(document)
	if err != nil {
		assert.True(t, !json.Valid(document), "%q: unexpected error %v", document, err)
		return
	}
	var expected, found any
	if !utf8.Valid(document) || json.Unmarshal(document, &expected) != nil {
		return
	}
	if err := json.Unmarshal(jsontext.Append(nil, v), &found); err != nil {
		t.Errorf("%q: wrote %q: %v", document, jsontext.Append(nil, v), err)
	} else if diff := cmp.Diff(expected, found); diff != "" {
		t.Errorf("%q: %s", document, diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, d := range documents {
		f.Add([]byte(d))
	}
	f.Fuzz(func(t *testing.T, document []byte) { compare(t, document) })
}
