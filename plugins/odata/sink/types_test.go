package sink

import (
	"math/big"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// TestEveryType reads a set with every type and its limits as a source does, and writes it to a copy. Both are equal,
// except for what Kafka Connect's types cannot express.
func TestEveryType(t *testing.T) {
	s := odatatest.New(odatatest.Options{})
	w := open(t, s, set("00", "AllTypesCopies")...)
	out, value := read(t, s)
	w.schemas = []wit.Schema{{ID: 1, Nodes: value}}
	w.data = out.Data
	for _, row := range out.Rows {
		row.Value.Schema = 1
		if v, _ := w.writeRow("AllTypesCopies", wit.ValueSlice{}, row.Value); v.Written == nil {
			t.Fatalf("row %d: %+v\n%s", row.RowIndex, v.Rejected, w.bodies[len(w.bodies)-1])
		}
	}
	originals, copies := dump(s, "AllTypes"), dump(s, "AllTypesCopies")
	if len(originals) < 200 {
		t.Fatalf("expected more rows, found %d", len(originals))
	}
	expectEqual(t, "found", originals, copies)
}

func read(t *testing.T, s *odatatest.Service) (*decode.Output, []wit.SchemaNode) {
	t.Helper()
	get := func(target string) []byte {
		a := httptest.NewRecorder()
		s.ServeHTTP(a, httptest.NewRequest("GET", gateway+"/"+target, nil))
		return a.Body.Bytes()
	}
	m, err := edm.Parse(get("$metadata"))
	noError(t, err)
	typ := m.Structure(m.Set("AllTypes").Type)
	layout, err := decode.NewRowSchema(m, edm.WholeView(typ), edm.Options{})
	noError(t, err)
	value, err := m.ValueSchema(typ, edm.Options{})
	noError(t, err)
	out := &decode.Output{}
	noError(t, decode.NewAtom(layout).Write(get("AllTypes?$format=atom"), true, out))
	if len(out.RowErrors) > 0 {
		t.Fatal(out.RowErrors[0])
	}
	return out, value
}

// dump returns the entities by key. Points in time are truncated to milliseconds in UTC, as in Kafka Connect's
// Timestamp.
func dump(s *odatatest.Service, set string) map[string]map[string]string {
	all := map[string]map[string]string{}
	s.Each(set, func(key string, fields map[string]string) {
		for name, text := range fields {
			for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
				if at, err := time.Parse(layout, text); err == nil {
					fields[name] = at.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
				}
			}
		}
		all[key] = fields
	})
	return all
}

// Integers are converted by their logical names, on both paths. Digits that JSON cannot contain are rejected there
// only.
func TestLogicalNamesInBodies(t *testing.T) {
	const debezium = "io.debezium.time."
	nodes := nodesOf(column{name: "ID", kind: wit.Int32},
		column{name: "Clock", kind: wit.Int64, logical: debezium + "MicroTime"},
		column{name: "Moment", kind: wit.Int64, logical: debezium + "NanoTimestamp"},
		column{name: "Stamp", kind: wit.String, logical: debezium + "ZonedTimestamp"},
		column{name: "Day", kind: wit.Int32, logical: debezium + "Date"})
	for _, c := range []struct {
		format, stamp string
		nanos         int64
		want          []string
	}{
		{"json", "2024-01-31T00:00:00.120000Z", 1706659200001000000, []string{`"Clock":"PT00H01M00S"`,
			`"Moment":"\/Date(1706659200001)\/"`, `"Stamp":"\/Date(1706659200120+0000)\/"`,
			`"Day":"\/Date(1706659200000)\/"`}},
		{"atom", "2024-01-31T00:00:00.123456Z", 1706659200001000200, []string{">PT00H01M00S</d:Clock>",
			">2024-01-31T00:00:00.0010002</d:Moment>", ">2024-01-31T00:00:00.123456Z</d:Stamp>",
			">2024-01-31T00:00:00</d:Day>"}},
		{"json", "2024-01-31T00:00:00.123456Z", 1706659200001000000, nil},
		{"json", "2024-01-31T00:00:00Z", 1706659200001000200, nil},
		{"atom", "2024-01-31T00:00:00Z", 1706659200001000001, nil},
	} {
		w := open(t, odatatest.New(odatatest.Options{}), append(set("00", "AllTypesCopies"),
			"sap.odata.request.format="+c.format)...)
		v, sent := w.writeRow("AllTypesCopies", wit.ValueSlice{}, w.withSchema(nodes,
			connectdata.Struct{int32(1),
				int64(60_000_000),
				c.nanos,
				c.stamp, int32(19753)}))
		if c.want == nil {
			if v.Rejected == nil || len(sent) > 0 {
				t.Errorf("%s: expected %s and %d to be refused, found %+v", c.format, c.stamp, c.nanos, v)
			}
			continue
		}
		if v.Written == nil {
			t.Fatalf("%s: %+v", c.format, v.Rejected)
		}
		for _, want := range c.want {
			if body := string(sent[0].Body); !strings.Contains(body, want) {
				t.Errorf("%s: expected %s in %s", c.format, want, body)
			}
		}
	}
}

// A decimal without a schema is written with all digits, and rejected if it does not fit the property.
func TestDecimalsWithoutASchema(t *testing.T) {
	w := open(t, odatatest.New(odatatest.Options{}), set("00", "AllTypesCopies")...)
	decimal := func(unscaled int64, scale int32) connectdata.Decimal {
		return connectdata.Decimal{Scale: scale, Unscaled: big.NewInt(unscaled)}
	}
	v, sent := w.writeRow("AllTypesCopies", wit.ValueSlice{}, w.schemaless(fields("ID", int64(1), "Amount",
		decimal(123456789012345678, 4), "Precise", decimal(123456789012345678, 4), "Exact", decimal(123, -20))))
	want := `{"ID":1,"Amount":"12345678901234.5678","Precise":12345678901234.5678,"Exact":"12300000000000000000000"}`
	if v.Written == nil || string(sent[0].Body) != want {
		t.Fatalf("expected %s, found %+v, %+v", want, v.Rejected, sent)
	}
	for field, value := range map[string]connectdata.Decimal{"Amount": decimal(123456789012345678, 5),
		"Long": decimal(5, 1),
		"Text": decimal(5, 1), "Moment": decimal(5, 1), "Precise": decimal(1, -400)} {
		if v, _ := w.writeRow("AllTypesCopies", wit.ValueSlice{},
			w.schemaless(fields("ID", int64(2), field,
				value))); v.Rejected == nil ||
			!strings.Contains(v.Rejected.Message, field) {
			t.Errorf("%s: expected it to be refused, found %+v", field, v)
		}
	}
}
