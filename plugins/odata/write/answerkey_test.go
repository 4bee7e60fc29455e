package write

import (
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// FuzzPredicateIn: where the key of an entity in an answer is read without taking the answer apart, it is the one that
// is read otherwise.
func FuzzPredicateIn(f *testing.F) {
	w := open(&testing.T{}, everything(), set("00", "Es")...)
	s, err := w.p.state(w.context)
	if err != nil {
		f.Fatal(err)
	}
	t := &s.sets[0]
	sent, ok := t.keyOf("(A=1,B='x')")
	if !ok {
		f.Fatal("the key is of another set")
	}
	of := func(body []byte) (quick, other string) {
		quick = string(w.p.predicateIn(t, body))
		values, ok := t.keyIn(body, sent)
		if !ok {
			return quick, ""
		}
		var keys []uri.Key
		for i, v := range values {
			keys = append(keys, uri.Key{Name: t.entity.Key[i], Literal: v})
		}
		return quick, string(uri.AppendPredicate(nil, keys))
	}
	read := 0
	for _, body := range []string{`{"d":{"A":1,"B":"x"}}`,
		`{"d":{"B":"O'Neil","__metadata":{"id":"\"}","A":2},"A":"-3"}}`,
		`{"d":{"B":"größe","x":[1,{"A":7},"]"],"A":3,"A":4}}`, `{"d":{"A":1,"B":"a\u0041"}}`,
		`{"d":{"\u0041":9,"A":1,"B":"x"}}`,
		`{"d":{"A":1.0,"B":"x"}}`, `{"d":{"A":1,"B":null}}`, `{"d":{"A":1,"B":7}}`, `{"d":{"x":{"A":1,"B":"x"}}}`,
		`{"d":{"A":1,"B":"x"`, `{"d":{"A":1`, `{"d":{`, `{"d":{}}`, `{"d":{"A":,"B":""}}`, `{"d":{"B":"\\","A":1}}`,
		`{"d":{"A":1}},"B":"x"}`, `{"d": {"A":1,"B":"x"}}`, `[]`, ``} {
		f.Add([]byte(body))
		if quick, other := of([]byte(body)); quick != "" && quick == other {
			read++
		}
	}
	if read < 3 {
		f.Errorf("%d bodies are read", read)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		// Of a body that is none of JSON nothing is learned either way.
		if quick, other := of(body); quick != "" && other != "" && quick != other {
			t.Errorf("%q: expected %s, found %s", body, other, quick)
		}
	})
}
