package write

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// TestEveryType reads a set with every type and its edge values as a source would, and writes it to a copy: both sets
// hold the same afterwards, apart from what Kafka Connect's types can't hold.
func TestEveryType(t *testing.T) {
	s := service.New(service.Options{})
	w := open(t, s, set("00", "AllTypesCopies")...)
	out, value := read(t, s)
	w.schemas = []wit.Schema{{ID: 1, Nodes: value}}
	w.data = out.Data
	for _, row := range out.Rows {
		row.Value.Schema = 1
		if v, _ := w.put("AllTypesCopies", wit.Datum{}, row.Value); v.Written == nil {
			t.Fatalf("row %d: %+v\n%s", row.Origin, v.Refused, w.bodies[len(w.bodies)-1])
		}
	}
	originals, copies := dump(s, "AllTypes"), dump(s, "AllTypesCopies")
	if len(originals) < 200 {
		t.Fatalf("expected more rows, found %d", len(originals))
	}
	same(t, "found", originals, copies)
}

// read decodes the set.
func read(t *testing.T, s *service.Service) (*decode.Output, []wit.Node) {
	t.Helper()
	get := func(target string) []byte {
		a := httptest.NewRecorder()
		s.ServeHTTP(a, httptest.NewRequest("GET", gateway+"/"+target, nil))
		return a.Body.Bytes()
	}
	m, err := edm.Parse(get("$metadata"))
	noError(t, err)
	typ := m.Structure(m.Set("AllTypes").Type)
	layout, err := decode.NewRowLayout(m, edm.Whole(typ), edm.Options{})
	noError(t, err)
	value, err := m.ValueSchema(typ, edm.Options{})
	noError(t, err)
	out := &decode.Output{}
	noError(t, decode.NewAtom(layout).Write(get("AllTypes?$format=atom"), true, out))
	if len(out.Faults) > 0 {
		t.Fatal(out.Faults[0])
	}
	return out, value
}

// dump is a set's entities by key. Points in time are cut to milliseconds and stand in UTC: Kafka Connect's Timestamp
// has no more of them.
func dump(s *service.Service, set string) map[string]map[string]string {
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
