package odatatest

import (
	"strings"
	"testing"
)

// The parsers are given what strangers send: they must end with a value or an error, and what they accept must be
// usable.

func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"OrderID eq 1",
		"not (ShipCity eq 'x''y' or OrderDate lt datetime'1996-07-04T00:00:00') and Freight gt 1.5M",
		"substringof('a',ShipName)", "year(OrderDate) eq 1996",
		"CustomerID eq null", "-INF lt Freight", "((", "'", "X'0", "length(", "OrderID eq -", "1", "and",
		"OrderID eq 1 and", "Freight eq 1e", "guid'x' eq 1"} {
		f.Add(seed)
	}
	m := newNorthwind(10)
	orders := m.byName["Orders"]
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseFilter(text, orders.typ)
		if err != nil {
			return
		}
		for c := orders.all(); c.next(); {
			if matched := e.matches(c.current); matched && (e.low != nil && mustCompare(&c.current.values[0],
				e.low) < 0 || e.high != nil && mustCompare(&c.current.values[0], e.high) > 0) {
				t.Errorf("%s: order %d matches and stands outside the bounds", text, c.current.values[0].num)
			}
		}
	})
}

func FuzzKey(f *testing.F) {
	for _, seed := range []string{"1", "OrderID=1,ProductID=2", "ProductID=2,OrderID=1", "'x'", "1,2", "OrderID=", "=",
		"OrderID=1,OrderID=1", "1L", "99999999999", "null", "OrderID=1,ProductID=2,"} {
		f.Add(seed)
	}
	typ := newNorthwind(10).byName["Order_Details"].typ
	f.Fuzz(func(t *testing.T, text string) {
		key, fault := parseKey(typ, text)
		if fault != nil {
			return
		}
		// What was read can be written and read again.
		written := string(appendKey(nil, typ, &row{values: key}))
		again, fault := parseKey(typ, strings.Trim(written, "()"))
		if fault != nil || compareKeys(key, again) != 0 {
			t.Errorf("%s became %s, which is read as something else", text, written)
		}
	})
}

func FuzzBody(f *testing.F) {
	f.Add(
		[]byte(
			`{"d":{"ID":1,"Text":"x","Place":{"City":"y","Rent":"1.50"},"Moment":"/Date(0)/","Stamp":"/Date(1+0060)/","Clock":"PT1S","Raw":"AAE="}}`))
	f.Add(
		[]byte(
			`{"ID":null,"Long":"9223372036854775807","Precise":"INF","Mark":"34c6020a-aaaa-1111-2222-af75a376b0f9"}`))
	f.Add([]byte(`<entry xmlns="http://www.w3.org/2005/Atom"><content><properties xmlns="` + nsM + `"><ID xmlns="` +
		nsD + `">1</ID></properties></content></entry>`))
	typ := newNorthwind(10).byName["AllTypes"].typ
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, read := range []func([]byte, *entityType) (map[int]*value, error){readJSON, readAtom} {
			given, err := read(raw, typ)
			if err != nil {
				continue
			}
			for i, v := range given {
				if check(&typ.properties[i], v) == nil && !v.null && v.kind != complexKind {
					if _, err := parsePlain(v.kind, string(appendPlain(nil, v))); err != nil {
						t.Errorf("%s was accepted as %s: %v", raw, v.kind, err)
					}
				}
			}
		}
	})
}
