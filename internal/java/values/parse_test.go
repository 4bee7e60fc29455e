package values

import (
	"math"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Texts for which Kafka creates an incomplete schema, or values that do not match it, have no schema here and the same
// values. The golden cases cover all other texts.
func TestLiteralsWithoutASchema(t *testing.T) {
	for text, want := range map[string]any{
		"[]":                 connectdata.List{},
		"[null, null]":       connectdata.List{nil, nil},
		`[1, "a"]`:           connectdata.List{int8(1), "a"},
		"[true, 1]":          connectdata.List{true, int8(1)},
		`[[1], ["a"]]`:       connectdata.List{connectdata.List{int8(1)}, connectdata.List{"a"}},
		"{}":                 connectdata.Map{},
		`{"a": null}`:        connectdata.Map{{Key: "a", Value: nil}},
		`{"a": 1, "b": "x"}`: connectdata.Map{{Key: "a", Value: int8(1)}, {Key: "b", Value: "x"}},
		"25:61:61.000Z":      connectdata.Instant(93_721_000),
	} {
		l, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		nodes, b, err := l.Encode()
		if err != nil || nodes != nil {
			t.Errorf("%s: expected no schema, found %v, %v", text, nodes, err)
			continue
		}
		if got, _, err := connectdata.ReadSchemaless(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: expected %v, found %v, %v", text, want, got, err)
		}
	}
}

// A list of numbers and times has the schema of times.
func TestMixedTimesHaveASchema(t *testing.T) {
	l, err := Parse(`[12, "12:00:00.000Z" ]`)
	require.NoError(t, err)
	nodes, _, err := l.Encode()
	assert.True(t, nodes != nil && err == nil, "expected a schema, found none, %v", err)
}

// A number that does not fit into a value is rejected if the text is a number, but not if it is part of a longer text.
// A small fraction below zero is Java's -0.0, in lists too.
func TestNumberLiteralsAtLimits(t *testing.T) {
	if l, err := Parse("{-73.197E7102:32:31.972 }}"); err != nil || l.value != "{-73.197E7102:32:31.972 }}" {
		t.Errorf("expected the text, found %v, %v", l.value, err)
	}
	for _, text := range []string{"1.5E7102", "[1.5E7102]", `{"a":1.5E7102}`, "[1, 1E-7102, 1E7102]"} {
		l, err := Parse(text)
		assert.True(t, err != nil, "%s: expected a rejection, found %v", text, l.value)
	}
	l, err := Parse("[-38.5e-89 ,]")
	list, _ := l.value.(connectdata.List)
	assert.True(t, err == nil && len(list) == 1 && math.Signbit(float64(list[0].(float32))),
		"expected -0.0, found %v, %v", l.value, err)
}

// Parsing ends for any text, and the result matches its schema.
func FuzzLiteral(f *testing.F) {
	for _, text := range []string{"", "null", "1.5e3", `[1, 2]`, `{"a": [1]}`, "2024-02-29T12:34:56.789Z", `["a\"b"`,
		"1e99999999", "[[[", `{1:`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // settings are UTF-8
		}
		l, err := Parse(text)
		if err != nil || l.kind == nil {
			return // the header handles a null itself
		}
		nodes, b, err := l.Encode()
		if err != nil {
			return
		}
		if nodes != nil {
			err = connectdata.Check(nodes, b)
		} else {
			err = connectdata.CheckSchemaless(b)
		}
		assert.NoError(t, err, text)
	})
}
