package write

import (
	"encoding/json"
	"encoding/xml"
	"math"
	"math/big"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/google/go-cmp/cmp"
)

// everything has a property of every type, with facets and without, with a key of two.
func everything() http.Handler {
	var properties strings.Builder
	for _, p := range []string{`A" Type="Edm.Int32" Nullable="false`, `B" Type="Edm.String" Nullable="false`,
		`Bool" Type="Edm.Boolean`,
		`Byte" Type="Edm.Byte`, `SByte" Type="Edm.SByte" Nullable="false`, `Int16" Type="Edm.Int16`,
		`Int64" Type="Edm.Int64`, `Short" Type="Edm.String" MaxLength="5`,
		`Text" Type="Edm.String`, `Guid" Type="Edm.Guid`, `Decimal" Type="Edm.Decimal`,
		`Price" Type="Edm.Decimal" Precision="6" Scale="2`,
		`Whole" Type="Edm.Decimal" Precision="4" Scale="0`, `Long" Type="Edm.Decimal" Precision="31" Scale="14`,
		`Varying" Type="Edm.Decimal" Precision="5" Scale="variable`,
		`Double" Type="Edm.Double`, `Single" Type="Edm.Single`, `Date" Type="Edm.DateTime`,
		`Moment" Type="Edm.DateTimeOffset`,
		`Clock" Type="Edm.Time`, `Binary" Type="Edm.Binary`, `Made" Type="Edm.Int32" sap:creatable="false`,
		`Fixed" Type="Edm.Int32" sap:updatable="false`} {
		properties.WriteString(`<Property Name="` + p + `"/>`)
	}
	return serving(`<Edmx Version="1.0"><DataServices><Schema Namespace="S" xmlns:sap="http://www.sap.com/Protocols/SAPData">` +
		`<EntityType Name="E"><Key><PropertyRef Name="A"/><PropertyRef Name="B"/></Key>` + properties.String() +
		`</EntityType><EntityContainer Name="C"><EntitySet Name="Es" EntityType="S.E"/></EntityContainer></Schema>` +
		`</DataServices></Edmx>`)
}

// chance makes values by chance.
type chance struct{ *rand.Rand }

func (c chance) number(bits int) int64 {
	switch c.IntN(5) {
	case 0:
		return c.Int64N(300) - 100
	case 1:
		return math.MinInt64 >> (64 - bits)
	case 2:
		return math.MaxInt64 >> (64 - bits)
	}
	return int64(c.Uint64()) >> (64 - bits + c.IntN(bits))
}

func (c chance) text() string {
	texts := []string{"", "a", "abcde", "abcdef", "größe", "tab\tquote\"back\\slash\nend", "\u2028", "12", "-7", "1.50",
		"1.5", "0012.000", ".5", "5.", "-0.0", "1e3", "+4", "1234567.891", "true", "INF", "nan", "2024-02-29T12:30:00",
		"2024-02-30T00:00:00", "/Date(86400000)/", "PT12H30M05S", "01234567-89ab-cdef-0123-456789ABCDEF", "AQID",
		strings.Repeat("x", 70), "a<b", "c>d&", "line\rend", "\x01", "\ufffe", "a\uffff", "\uf900", "豈<"}
	return texts[c.IntN(len(texts))]
}

// dynamic is a schemaless value.
func (c chance) dynamic() any {
	switch c.IntN(12) {
	case 0:
		return nil
	case 1:
		return c.IntN(2) == 0
	case 2:
		return int8(c.number(8))
	case 3:
		return int16(c.number(16))
	case 4:
		return int32(c.number(32))
	case 5:
		return c.number(64)
	case 6:
		return c.NormFloat64()
	case 7:
		return float64(c.IntN(1000))
	case 8:
		return []byte(c.text())
	case 9:
		return datum.Decimal{Scale: int32(c.IntN(6) - 1), Unscaled: big.NewInt(c.number(64))}
	case 10:
		return datum.Instant(c.number(48))
	}
	return c.text()
}

// structured is a node, and a value of it.
func (c chance) structured() (n wit.Node, v any) {
	logical := func(names ...string) {
		if name := names[c.IntN(len(names))]; name != "" {
			n.Name = wit.Ptr(name)
		}
	}
	switch n.Kind = wit.Kind(c.IntN(int(wit.Bytes) + 1)); n.Kind {
	case wit.Boolean:
		v = c.IntN(2) == 0
	case wit.Int8:
		v = int8(c.number(8))
	case wit.Int16:
		v = int16(c.number(16))
	case wit.Int32:
		logical("", "", wit.NameDate, wit.NameTime)
		v = int32(c.number(32))
	case wit.Int64:
		logical("", "", wit.NameTimestamp, wit.NameMicroTimestamp)
		v = c.number(64 - 16*c.IntN(2))
	case wit.Float32:
		v = float32(c.NormFloat64())
	case wit.Float64:
		v = c.NormFloat64()
	case wit.Text:
		v = c.text()
	case wit.Bytes:
		logical("", wit.NameDecimal, wit.NameDecimal, wit.NameDecimal)
		unscaled := big.NewInt(c.number(64))
		if c.IntN(4) == 0 {
			unscaled.Mul(unscaled, unscaled)
		}
		v = datum.AppendDecimal(nil, unscaled)[1:]
		n.Parameters = []wit.Setting{{Name: wit.ParameterScale, Value: []string{"0", "2", "3", "17", "-1",
			"x"}[c.IntN(6)]}}
	default:
		n.Kind, v = wit.Text, c.text()
	}
	if n.Optional = c.IntN(2) == 0; n.Optional && c.IntN(4) == 0 {
		v = nil
	}
	return n, v
}

// TestShortWay: rows that kernels write come to the same requests as those that go by way of trees. With delete.records
// they all do, and without a field that says so nothing else is different.
func TestShortWay(t *testing.T) {
	names := []string{"A", "B", "Bool", "Byte", "SByte", "Int16", "Int64", "Short", "Text", "Guid", "Decimal", "Price",
		"Whole", "Long", "Varying", "Double", "Single", "Date",
		"Moment", "Clock", "Binary", "Made", "Fixed"}
	c := chance{rand.New(rand.NewPCG(1, 2))}
	for _, settings := range [][]string{{"sap.odata.operation.mode=insert"}, {"sap.odata.operation.mode=update"},
		{"sap.odata.operation.mode=upsert"}, {"sap.odata.unknown.fields=ignore"},
		{"sap.odata.operation.mode=insert", "sap.odata.request.format=atom"},
		{"sap.odata.operation.mode=update", "sap.odata.request.format=atom"}} {
		short := open(t, everything(), append(set("00", "Es"), settings...)...)
		long := open(t, everything(), append(set("00", "Es"), append(settings, "sap.odata.delete.records=1")...)...)
		written := 0
		for range 600 {
			given := map[string]bool{"A": true, "B": true}
			for range c.IntN(3) + 1 {
				given[names[c.IntN(len(names))]] = true
			}
			if c.IntN(20) == 0 {
				given["Unknown"] = true
			}
			if c.IntN(10) == 0 {
				delete(given, "A")
			}
			var row, record datum.Map
			nodes := []wit.Node{{Kind: wit.Structure}}
			var values datum.Record
			for _, name := range append(names, "Unknown") {
				if !given[name] {
					continue
				}
				n, v := c.structured()
				switch {
				case name == "A" && c.IntN(10) > 0:
					n, v = wit.Node{Kind: wit.Int32}, int32(c.number(32))
				case name == "B" && c.IntN(10) > 0:
					n, v = wit.Node{Kind: wit.Text}, c.text()
				}
				nodes[0].Members = append(nodes[0].Members, wit.Member{Name: name, Node: uint32(len(nodes))})
				nodes, values = append(nodes, n), append(values, v)
				if name != "A" && name != "B" {
					v = c.dynamic()
				}
				row = append(row, datum.Entry{Key: name, Value: v})
			}
			record = fields("A", c.dynamic(), "B", c.dynamic())
			for _, of := range []func(w *writing) wit.Row{
				func(w *writing) wit.Row { return wit.Row{Value: w.structured(nodes, values)} },
				func(w *writing) wit.Row { return wit.Row{Value: w.dynamic(row)} },
				func(w *writing) wit.Row { return wit.Row{Value: w.dynamic(row), Key: w.dynamic(record)} },
			} {
				var found [2]wit.Deliveries
				for i, w := range []*writing{short, long} {
					w.schemas, w.data = nil, nil
					r := of(w)
					var err error
					// Behind the last row of a batch is no room.
					data := append(w.data, make([]byte, c.IntN(2)*encode.Room)...)
					for range 2 { // at first the names of schemaless rows are not known
						found[i], err = w.p.Encode(w.context, w.schemas, []string{"Es"}, []wit.Row{r}, data, nil, nil,
							nil)
						noError(t, err)
					}
				}
				if d := cmp.Diff(found[1], found[0]); d != "" {
					t.Fatalf("%s: %v: (-by way of trees +short)\n%s", settings, row, d)
				}
				for i := range found[0].Ready {
					body := found[0].Ready[i].Request.Body
					if !json.Valid(body) && xml.Unmarshal(body, new(any)) != nil {
						t.Fatalf("%s: %v: expected a document of JSON or XML, found %s", settings, row, body)
					}
				}
				written += len(found[0].Ready)
			}
		}
		if written < 200 {
			t.Errorf("%s: expected more rows to be written than %d", settings, written)
		}
	}
}
