package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// Found entities are compared with what was sent, in Atom and JSON. An entity of another client is not the record's.
func TestCheckCompares(t *testing.T) {
	entry := func(properties string) string {
		return `<?xml version="1.0"?><entry xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" ` +
			`xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"><id>x</id><title/><link rel="edit" href="Es"><m:inline><entry><content><m:properties><d:Short>inner</d:Short>` +
			`</m:properties></content></entry></m:inline></link><content type="application/xml"><m:properties>` +
			properties + `</m:properties></content></entry>`
	}
	const same = `<d:A m:type="Edm.Int32">1</d:A><d:B>b</d:B><d:Short>abc  </d:Short><d:Price>12.50</d:Price><d:Text m:null="true"/>` +
		`<d:Date>2024-01-31T12:00:00.0000000</d:Date><d:Clock>PT12H0M5S</d:Clock><d:Guid>01234567-89AB-CDEF-0123-456789ABCDEF</d:Guid><d:Bool>true</d:Bool><d:Made>7</d:Made>`
	for _, test := range []struct{ format, answer, want string }{
		{"atom", entry(same), outcomeWritten},
		{"atom", strings.Replace(entry(same), "abc", "other", 1), outcomeInDoubt},
		{"atom", strings.Replace(entry(same), "12.50", "12.51", 1), outcomeInDoubt},
		{"atom", strings.Replace(entry(same), "PT12H0M5S", "PT12H0M6S", 1), outcomeInDoubt},
		{"atom", strings.Replace(entry(same), ".0000000", ".0000001", 1), outcomeInDoubt},
		{"atom", strings.Replace(entry(same), `<d:Text m:null="true"/>`, "<d:Text>x</d:Text>", 1), outcomeInDoubt},
		{"atom", strings.Replace(entry(same), "true</d:Bool>", "false</d:Bool>", 1), outcomeInDoubt},
		{"atom", `{"d":{"A":1,"B":"b","Short":"abc","Price":"12.5"}}`, outcomeWritten},
		{"atom", `{"d":{"A":1,"B":"b","Short":"other"}}`, outcomeInDoubt},
		{"atom", entry(""), outcomeInDoubt},
		{"atom", entry(`<d:Other>1</d:Other>`), outcomeInDoubt},
		{"atom", entry(same)[:300], outcomeInDoubt},
		{"atom", strings.ReplaceAll(entry(same), "entry", "feed"), outcomeInDoubt},
		{"json", `{"d":{"A":1,"B":"b","Short":"abc"}}`, outcomeWritten},
		{"json", entry(`<d:A m:type="Edm.Int32">1</d:A><d:Short>abc</d:Short>`), outcomeWritten},
		{"json", entry(`<d:A m:type="Edm.Int32">1</d:A><d:Short>other</d:Short>`), outcomeInDoubt},
		{"json", `{"d":{"A":1,"Double":"0.1000","Single":0.10000000149011612}}`, outcomeWritten},
		{"json", `{"d":{"A":1,"Double":0.1}}`, outcomeWritten},
		{"json", `{"d":{"A":1,"Double":0.10000000000000003}}`, outcomeInDoubt},
		{"json", `{"d":{"A":1,"Double":"x"}}`, outcomeInDoubt},
		{"json", `{"d":{"A":1,"Price":"12.50000000000000001"}}`, outcomeInDoubt}, // no number of floating point
		{"atom", entry(`<d:A m:type="Edm.Int32">1</d:A><d:Double m:type="Edm.Double">1E-1</d:Double>`), outcomeWritten},
		{"json", `{"d":{}}`, outcomeInDoubt},
		{"json", entry(`</m:properties></content><link rel="http://x/related/Short" href="Short"/><content><m:properties>`), outcomeInDoubt},
		{"json", entry(`<d:Short>other</d:Short></m:properties></content><link rel="x/Short" href="s"/><content><m:properties>`), outcomeInDoubt},
		{"json", entry(`</m:properties></content><link rel="x/Short" href="s"/><content><m:properties><d:Short>other</d:Short>`), outcomeInDoubt},
		{"json", `{"d":{"Short":{"__deferred":{"uri":"s"}}}}`, outcomeInDoubt},
		{"json", `{"d":{"results":[]}}`, outcomeInDoubt},
	} {
		run := open(t, allTypesService(), append(set("00", "Es"), "sap.odata.insert.uncertain=check",
			"sap.odata.enable.batch=0", "sap.odata.request.format="+test.format)...)
		host := run.host("Es")
		host.value("A", int64(1), "B", "b", "Short", "abc", "Price", "12.5", "Text", nil, "Date", "2024-01-31T12:00:00",
			"Clock", "PT12H00M05S",
			"Guid", "01234567-89ab-cdef-0123-456789abcdef", "Bool", true,
			"Double", "0.10000000000000001", "Single", float32(0.1))
		host.answer = scripted(t, "0", "200 "+test.answer)
		host.run()
		if host.outcomes[0] != test.want {
			t.Errorf("%s: %s: expected %s, found %s (%v)", test.format, test.answer, test.want, host.outcomes[0],
				host.reasons[0])
		}
	}
}

// An entity found by the filter is the record's only if its values are equal: some services ignore $filter.
func TestCheckByFilterCompares(t *testing.T) {
	feed := func(entries string) string {
		return `<feed xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" ` +
			`xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"><title>Orders</title>` + entries +
			`</feed>`
	}
	entry := func(note string) string {
		return `<entry><id>x</id><content><m:properties><d:ID>7</d:ID><d:Note>` + note +
			`</d:Note><d:Count>1</d:Count></m:properties></content></entry>`
	}
	for answer, want := range map[string]string{
		`{"d":{"results":[{"ID":"7","Note":"n","Count":1}]}}`:                                     outcomeWritten,
		`{"d":[{"ID":"1","Note":"other","Count":1},{"ID":"7","Note":"n","Count":1}]}`:             outcomeWritten,
		`{"d":{"results":[{"ID":"1","Note":"other","Count":1}]}}`:                                 outcomeInDoubt,
		`{"d":{"results":[{"ID":"1","Note":"n","Count":2},{"ID":"2","Note":"other","Count":1}]}}`: outcomeInDoubt,
		`{"d":{"results":[{"ID":"1"}]}}`:                                                          outcomeInDoubt,
		`{"d":{"results":["n"]}}`:                                                                 outcomeInDoubt,
		`[]`:                                                                                      outcomeInDoubt,
		`{"results":[]}`:                                                                          outcomeInDoubt,
		feed(entry("n")):                                                                          outcomeWritten,
		feed(entry("other") + entry("n")):                                                         outcomeWritten,
		feed(entry("other")):                                                                      outcomeInDoubt,
		feed(entry("n"))[:310]:                                                                    outcomeInDoubt,
	} {
		run := openOrders(t, "sap.odata.insert.uncertain=check", "sap.odata.check.filter=Note",
			"sap.odata.enable.batch=0")
		host := run.host("Orders")
		host.value("Note", "n", "Count", int64(1))
		script := scripted(t, "0", "200 "+answer)
		host.answer = func(request *wit.Request) wit.Response {
			r := script(request)
			r.Headers = []wit.Header{{Name: "DataServiceVersion", Value: "2.0"}} // identifies a service
			return r
		}
		host.run()
		if host.outcomes[0] != want {
			t.Errorf("%s: expected %s, found %s (%v)", answer, want, host.outcomes[0], host.reasons[0])
		}
	}
}

// rejectedSetting returns the setting that the metadata reject, and why.
func rejectedSetting(t *testing.T, metadata string, settings ...string) (setting, why string) {
	t.Helper()
	_, err := newPlugin().Open(sinkconfig.V2.Class, configuration(settings...), nil,
		[]wit.Response{{Status: http.StatusOK, Body: []byte(metadata)}})
	if err == nil {
		return "", ""
	}
	failure := odataerror.As(err)
	require.True(t, failure.Kind == wit.ErrorConfig && failure.Setting != nil,
		"expected an error of a setting, found %+v", failure)
	return *failure.Setting, failure.Message
}

// Open reports what the metadata exclude: read-only sets, a filter with an unknown property, and checks of entities
// whose keys the service numbers.
func TestSettingsRejectedByMetadata(t *testing.T) {
	t.Parallel()
	const key, kept = `<Property Name="ID" Type="Edm.String"`, `<EntitySet Name="Kept"`
	numbered := strings.Replace(shop, key, key+` sap:creatable="false"`, 1)
	require.True(t, numbered != shop, "the metadata do not contain the property")
	several := strings.Replace(shop, kept, `<EntitySet Name="Items" EntityType="S.Item"/>`+kept, 1)
	still := strings.Replace(shop, kept, `<EntitySet Name="Still" EntityType="S.Order" sap:updatable="false"/>`+kept, 1)
	const uncertain, filter, entitySet = "sap.odata.insert.uncertain", "sap.odata.check.filter",
		"sap.odata#00.entityset"
	const check, deletes, mode = uncertain + "=check", "sap.odata.enable.delete=1", "sap.odata.operation.mode="
	for _, test := range []struct {
		metadata string
		settings []string
		setting  string
		wrong    string
	}{
		{shop, []string{check, filter + "=Note"}, "", ""},
		{shop, []string{check, filter + "=Note eq {Note} and Count gt {Count}"}, "", ""},
		{shop, []string{check, filter + "=Noet"}, filter,
			"no property Noet for the filter; the nearest name is Note; " +
				"expected one of ID, Note, Count, Changed"},
		{shop, []string{uncertain + "=repeatable", filter + "=Note eq {Note} and Count gt {Cuont}"}, filter,
			"no property Cuont for the filter; the nearest name is Count"},
		{shop, []string{check, filter + "=Place"}, filter, "no property Place"}, // complex
		{shop, []string{check, filter + "=Note eq 'x'"}, filter, "no property Note eq 'x'"},
		{shop, []string{check, filter + "=Note eq {Note"}, "", ""},
		// the filter is not used
		{shop, []string{uncertain + "=fail", filter + "=Note"}, "", ""},
		// the filter fits one of two sets
		{several, append(append(set("00", "Items"), set("01", "Orders")...), check, filter+"=Note"), "", ""},

		{shop, []string{check}, "", ""},
		{numbered, []string{check}, uncertain, "numbers its key property ID (sap:creatable=\"false\")"},
		{numbered, []string{check, mode + "dynamic", "sap.odata.operation.mode.property=OP"}, uncertain,
			"numbers its key property ID"},
		{numbered, []string{check, filter + "=Note"}, "", ""},
		{numbered, []string{check, mode + "merge"}, "", ""},
		{numbered, []string{uncertain + "=fail"}, "", ""},
		{numbered, []string{uncertain + "=repeatable"}, "", ""},

		{shop, append(set("00", "Fixed"), deletes), entitySet, "creatable"},
		{shop, append(set("00", "Kept"), deletes), entitySet, "deletable"},
		{shop, append(set("00", "orders"), deletes), entitySet, "the nearest name is Orders"},
		{still, append(set("00", "Still"), mode+"update"), entitySet, "updatable"},
		{still, append(set("00", "Still"), mode+"upsert"), entitySet, "updatable"},
		{still, append(set("00", "Still"), mode+"insert"), "", ""},
		{still, append(set("00", "Still"), mode+"merge"), entitySet, "updatable"},
		{still, append(set("00", "Fixed"), mode+"patch"), "", ""},
		{still, append(set("00", "Fixed"), mode+"upsert"), entitySet, "creatable"},
	} {
		setting, wrong := rejectedSetting(t, test.metadata, append(set("00", "Orders"), test.settings...)...)
		assert.True(t, setting == test.setting && strings.Contains(wrong, test.wrong),
			"%v: expected %s: %q, found %s: %q", test.settings, test.setting, test.wrong, setting, wrong)
	}
}

// A delete record is recognized by the change mode column of the source's service, whatever its name. The target may
// have that column or not.
func TestDeleteRecordsOfAnyColumn(t *testing.T) {
	source := &edm.StructuredType{Key: []string{"ID"}, Properties: []edm.Property{{Name: "ID"}, {Name: "Note"},
		{Name: "CHANGE", Semantics: "change-mode"}}}
	mode := source.ChangeMode()
	extra := source.Extra()
	require.True(t, mode != nil && len(extra) == 1,
		"expected the service's column and an additional one of the source, found %v and %v", mode, extra)
	withMode := strings.Replace(shop, `<Property Name="Note"`,
		`<Property Name="CHANGE" Type="Edm.String" sap:semantics="change-mode"/><Property Name="Note"`, 1)
	dated := strings.Replace(withMode, `<Property Name="Note"`,
		`<Property Name="`+extra[0]+`" Type="Edm.DateTime"/><Property Name="Note"`, 1)
	withTime := strings.Replace(shop, `<Property Name="Note"`,
		`<Property Name="`+extra[0]+`" Type="Edm.DateTime"/><Property Name="Note"`, 1)
	const deleted, sent = "DELETE /Orders('x')", "POST /Orders"
	for _, test := range []struct {
		name     string
		metadata string
		row      []any
		want     string
	}{
		{"deleted, of a target without", shop, []any{mode.Name, "D", extra[0], int64(5)}, deleted},
		{"deleted, of a target with", withMode, []any{mode.Name, "D", extra[0], int64(5)}, deleted},
		{"deleted, of a target with its own time", dated, []any{mode.Name, "D", extra[0], int64(5)}, deleted},
		{"changed, of a target with", withMode, []any{mode.Name, "U", extra[0], nil}, sent},
		{"changed, with a time of the entity's own", withTime, []any{extra[0], int64(5)}, sent},
		{"changed, as another column says", shop, []any{edm.RecordMode, nil, extra[0], int64(5)}, sent},
		{"changed, of a target without", shop, []any{extra[0], nil}, sent},
	} {
		run := open(t, metadataService(test.metadata), append(set("00", "Orders"), "sap.odata.delete.records=1",
			"sap.odata.enable.batch=0", "sap.odata.unknown.fields=ignore")...)
		host := run.host("Orders")
		host.value(append([]any{"ID", "x", "Note", nil}, test.row...)...)
		host.answer = scripted(t, "204")
		host.run()
		if len(host.requests) != 1 || !strings.HasPrefix(requestText(&host.requests[0]), test.want) ||
			host.outcomes[0] != outcomeWritten {
			t.Errorf("%s: expected %s, found %v (%v)", test.name, test.want, host.requests, host.reasons[0])
		}
	}
}
