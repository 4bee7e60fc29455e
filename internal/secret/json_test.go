package secret

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
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
		found := ""
		if err != nil {
			found = err.Error()
		}
		if found != want || strings.Contains(found, "4711") || strings.Contains(found, "Q") {
			t.Errorf("%s: expected %q, found %q", text, want, found)
		}
	}
	ours := errors.New("expected text")
	if JSONError(ours) != ours || JSONError(nil) != nil {
		t.Error("expected other errors unchanged")
	}
}
