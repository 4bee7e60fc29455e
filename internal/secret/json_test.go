package secret

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// Errors of encoding/json contain the position and quote nothing of the document.
func TestJSONErrorsQuoteNothing(t *testing.T) {
	type document struct {
		Port  int8              `json:"port"`
		Words []string          `json:"words"`
		Named map[string]string `json:"named"`
		Exact json.Number       `json:"exact"`
	}
	for text, want := range map[string]string{
		`{"port":4711}`:          "port: expected int8, found number",
		`{"port":"4711"}`:        "port: expected int8, found string",
		`{"words":["a",4711]}`:   "words: expected string, found number",
		`{"named":{"pwd":4711}}`: "named: expected string, found number",
		`[4711]`:                 "expected secret.document, found array",
		`{"exact":"4711x"}`:      "the value cannot be decoded",
		`{"named":{"pwd":Q}}`:    "unexpected character at byte 17",
		`{"named":{"pwd":"\Q"}}`: "unexpected character at byte 19",
		`{"named":{"pwd":"a"} Q`: "unexpected character at byte 22",
		`{"named":`:              "unexpected end of JSON input at byte 9",
		`{"port":1}`:             "",
	} {
		err := UnmarshalJSON([]byte(text), &document{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		assert.True(t, got == want && !strings.Contains(got, "4711") && !strings.Contains(got, "Q"),
			"%s: expected %q, found %q", text, want, got)
	}
	other := errors.New("expected text")
	if JSONError(other) != other || JSONError(nil) != nil {
		t.Errorf("expected %v and nil unchanged, found %v and %v", other, JSONError(other), JSONError(nil))
	}
}
