package sink

import (
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// A service confirms RequestIDs but executes repeated requests. With the record's own keys the second request is
// rejected and reported, and nothing is written twice.
func TestRequestIDNotHeeded(t *testing.T) {
	s := odatatest.New(odatatest.Options{})
	w := open(t, s, products(oneOrderingKey, "sap.odata.insert.uncertain=repeatable", "sap.odata.enable.batch=0")...)
	posts, lost := 0, false
	for round := range 2 {
		h := w.host("ProductCopies")
		h.addProducts(round, 1, "x")
		h.rows[0].Offset += int64(round)
		h.answer = func(q *wit.Request) wit.Response {
			a := h.exchange(q)
			if q.Method != "POST" {
				return a
			}
			if posts++; round == 1 && !lost {
				lost = true
				return wit.Response{} // done, and the answer is lost
			}
			a.Headers = append(a.Headers, wit.Header{Name: "RepeatabilityResult", Value: "accepted"})
			return a
		}
		h.run()
		if round == 0 {
			h.expectAll(outcomeWritten)
			continue
		}
		h.expectAll(wit.ErrorConflict.String())
		if f := h.reasons[0]; f == nil || !strings.Contains(f.Message, "already exists") {
			t.Errorf("expected to be told that the entity exists, found %+v", f)
		}
	}
	if n := s.Count("ProductCopies"); n != 2 || posts != 3 {
		t.Errorf("expected 2 entities by 3 requests, found %d by %d", n, posts)
	}
}

// The entity of a record in doubt has another value. If the service confirms RequestIDs, the insert is repeated.
// Otherwise the row stays in doubt.
func TestRequestIDOfAnEntityThatWasChanged(t *testing.T) {
	t.Parallel()
	const accepted, changed = "201 RepeatabilityResult: accepted", `200 {"d":{"ID":"b","Note":"changed since"}}`
	for _, c := range []struct {
		name     string
		script   []string
		requests []string
		outcome  string
	}{
		{"known", []string{accepted, changed, accepted}, []string{"POST", "GET", "POST"}, outcomeWritten},
		{"known, but it is another record's", []string{accepted, changed, "409 " + denial("X/1", "it already exists")},
			[]string{"POST", "GET", "POST"}, "conflict"},
		{"not known", []string{"201", changed}, []string{"POST", "GET"}, outcomeInDoubt},
	} {
		w := openOrders(t, "sap.odata.insert.uncertain=repeatable", "sap.odata.enable.batch=0")
		answer := scripted(t, c.script...)
		var requests []string
		for n, id := range []string{"a", "b"} {
			h := w.host("Orders")
			h.value("ID", id, "Note", "n")
			h.rows[0].Offset, h.answer, h.restarted = int64(n), answer, n == 1
			h.run()
			for i := range h.requests {
				requests = append(requests, h.requests[i].Method)
			}
			if want := []string{outcomeWritten, c.outcome}[n]; h.outcomes[0] != want {
				t.Errorf("%s: %s: expected %s, found %s (%v)", c.name, id, want, h.outcomes[0], h.reasons[0])
			}
		}
		expectEqual(t, c.name+": requests", c.requests, requests)
	}
}

// The error for a decimal as Base64 without schema names the setting that writes numbers.
func TestSchemalessDecimalInBase64(t *testing.T) {
	w := open(t, everything(), append(set("00", "Es"), "sap.odata.enable.batch=0")...)
	for text, hinted := range map[string]bool{"BPE4": true, "4,5": false, "": false} {
		out, err := w.p.Encode(w.context, nil, []string{"Es"},
			[]wit.Row{{Value: w.schemaless(fields("A", int64(1), "B", "b", "Price", text))}}, w.data, nil, nil, nil)
		noError(t, err)
		const setting = "value.converter.decimal.format = NUMERIC"
		if len(out.Rejected) != 1 || strings.Contains(out.Rejected[0].Error.Message, setting) != hinted {
			t.Errorf("%q: expected a refusal, with %q: %t, found %+v", text, setting, hinted, out)
		}
	}
}

// Atom is rejected for types with a property outside of the content of an entry. JSON is accepted.
func TestPropertyOutsideTheContent(t *testing.T) {
	const note, mapping = `<Property Name="Note" Type="Edm.String"`, ` m:FC_TargetPath="SyndicationTitle" ` +
		`xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" m:FC_KeepInContent="`
	for _, c := range []struct {
		keep, format string
		refused      bool
	}{{"false", "atom", true}, {"false", "json", false}, {"true", "atom", false}} {
		w := &harness{t: t, service: metadataService(strings.Replace(shop, note, note+mapping+c.keep+`"`, 1)),
			p: New("0.1.0")}
		given := configuration(append(set("00", "Orders"), "sap.odata.request.format="+c.format)...)
		asked, err := w.p.Open(sinkconfig.Component, given, nil, nil)
		noError(t, err)
		opened, err := w.p.Open(sinkconfig.Component, given, nil,
			[]wit.Response{w.exchange(&asked.Pending.Requests[0])})
		if (err != nil) != c.refused {
			t.Fatalf("%+v: found %v", c, err)
		}
		if c.refused {
			if f := odataerror.As(err); f.Setting == nil || *f.Setting != sinkconfig.NameRequestFormat ||
				!strings.Contains(f.Message, "Note") {
				t.Errorf("expected the setting and the property to be named, found %+v", f)
			}
			continue
		}
		w.context = opened.Ready.Context
		body := string(w.encoded(1, "Orders",
			wit.Row{Value: w.schemaless(fields("ID", "k", "Note",
				"n"))})[0].Request.Body)
		if c.format == "atom" && (!strings.Contains(body, "<title>n</title>") ||
			!strings.Contains(body, "<d:Note>n</d:Note>")) {
			t.Errorf("expected the value in both places, found %s", body)
		}
	}
}

// everything has a property of every type, with and without facets, and a key of two properties.
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
	return metadataService(`<Edmx Version="1.0"><DataServices><Schema Namespace="S" xmlns:sap="http://www.sap.com/Protocols/SAPData">` +
		`<EntityType Name="E"><Key><PropertyRef Name="A"/><PropertyRef Name="B"/></Key>` + properties.String() +
		`</EntityType><EntityContainer Name="C"><EntitySet Name="Es" EntityType="S.E"/></EntityContainer></Schema>` +
		`</DataServices></Edmx>`)
}

func headerOfRequest(q *wit.Request, name string) string {
	for _, h := range q.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}
