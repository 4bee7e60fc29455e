package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// A service confirms RequestIDs but executes repeated requests. With the record's own keys the second request is
// rejected and reported, and nothing is written twice.
func TestIgnoredRequestID(t *testing.T) {
	service := odatatest.New(odatatest.Options{})
	run := open(t, service, products(oneOrderingKey, "sap.odata.insert.uncertain=repeatable",
		"sap.odata.enable.batch=0")...)
	posts := 0
	isLost := false
	for round := range 2 {
		host := run.host("ProductCopies")
		host.addProducts(round, 1, "x")
		host.rows[0].Offset += int64(round)
		host.answer = func(request *wit.Request) wit.Response {
			answer := host.exchange(request)
			if request.Method != "POST" {
				return answer
			}
			posts++
			if round == 1 && !isLost {
				isLost = true
				return wit.Response{} // the insert is done, but its response is lost
			}
			answer.Headers = append(answer.Headers, wit.Header{Name: "RepeatabilityResult", Value: "accepted"})
			return answer
		}
		host.run()
		if round == 0 {
			host.expectAll(outcomeWritten)
			continue
		}
		host.expectAll(wit.ErrorConflict.String())
		if failure := host.reasons[0]; failure == nil || !strings.Contains(failure.Message, "already exists") {
			t.Errorf("expected a message that the entity exists, found %+v", failure)
		}
	}
	n := service.Count("ProductCopies")
	assert.True(t, n == 2 && posts == 3, "expected 2 entities after 3 requests, found %d after %d", n, posts)
}

// The entity of a record in doubt has another value. If the service confirms RequestIDs, the insert is repeated.
// Otherwise the row stays in doubt.
func TestRequestIDOfAnEntityThatWasChanged(t *testing.T) {
	t.Parallel()
	const accepted, changed = "201 RepeatabilityResult: accepted", `200 {"d":{"ID":"b","Note":"changed since"}}`
	for _, test := range []struct {
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
		run := openOrders(t, "sap.odata.insert.uncertain=repeatable", "sap.odata.enable.batch=0")
		answer := scripted(t, test.script...)
		var requests []string
		for n, id := range []string{"a", "b"} {
			host := run.host("Orders")
			host.value("ID", id, "Note", "n")
			host.rows[0].Offset = int64(n)
			host.answer = answer
			host.isRestarted = n == 1
			host.run()
			for i := range host.requests {
				requests = append(requests, host.requests[i].Method)
			}
			if want := []string{outcomeWritten, test.outcome}[n]; host.outcomes[0] != want {
				t.Errorf("%s: %s: expected %s, found %s (%v)", test.name, id, want, host.outcomes[0], host.reasons[0])
			}
		}
		expectEqual(t, test.name+": requests", test.requests, requests)
	}
}

// The error for a decimal as Base64 without schema names the setting that writes numbers.
func TestSchemalessDecimalInBase64(t *testing.T) {
	run := open(t, allTypesService(), append(set("00", "Es"), "sap.odata.enable.batch=0")...)
	for text, hasHint := range map[string]bool{"BPE4": true, "4,5": false, "": false} {
		out, err := run.p.Encode(run.context, nil, []string{"Es"},
			[]wit.Row{{Value: run.schemaless(fields("A", int64(1), "B", "b", "Price", text))}}, run.data, nil, nil, nil)
		require.NoError(t, err)
		const setting = "value.converter.decimal.format = NUMERIC"
		assert.True(t, len(out.Rejected) == 1 && strings.Contains(out.Rejected[0].Error.Message, setting) == hasHint,
			"%q: expected a rejection, with %q: %t, found %+v", text, setting, hasHint, out)
	}
}

// Atom is rejected for types with a property outside of the content of an entry. JSON is accepted.
func TestPropertyOutsideTheContent(t *testing.T) {
	const noteProperty = `<Property Name="Note" Type="Edm.String"`
	const mapping = ` m:FC_TargetPath="SyndicationTitle" ` +
		`xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" m:FC_KeepInContent="`
	for _, test := range []struct {
		keep    string
		format  string
		refused bool
	}{
		{keep: "false", format: "atom", refused: true},
		{keep: "false", format: "json"},
		{keep: "true", format: "atom"},
	} {
		metadata := strings.Replace(shop, noteProperty, noteProperty+mapping+test.keep+`"`, 1)
		run := &harness{t: t, service: metadataService(metadata), p: newPlugin()}
		settings := configuration(append(set("00", "Orders"), "sap.odata.request.format="+test.format)...)
		inquiry, err := run.p.Open(sinkconfig.V2.Class, settings, nil, nil)
		require.NoError(t, err)
		opened, err := run.p.Open(sinkconfig.V2.Class, settings, nil,
			[]wit.Response{run.exchange(&inquiry.Pending.Requests[0])})
		require.True(t, (err != nil) == test.refused, "%+v: found %v", test, err)
		if test.refused {
			failure := odataerror.As(err)
			assert.True(t, failure.Setting != nil && *failure.Setting == sinkconfig.NameRequestFormat &&
				strings.Contains(failure.Message, "Note"),
				"expected the setting and the property to be named, found %+v", failure)
			continue
		}
		run.context = opened.Ready.Context
		row := wit.Row{Value: run.schemaless(fields("ID", "k", "Note", "n"))}
		body := string(run.encoded(1, "Orders", row)[0].Request.Body)
		assert.True(t, test.format != "atom" ||
			(strings.Contains(body, "<title>n</title>") && strings.Contains(body, "<d:Note>n</d:Note>")),
			"expected the value in both places, found %s", body)
	}
}

// allTypesService has a property of every type, with and without facets, and a key of two properties.
func allTypesService() http.Handler {
	var properties strings.Builder
	for _, part := range []string{`A" Type="Edm.Int32" Nullable="false`, `B" Type="Edm.String" Nullable="false`,
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
		properties.WriteString(`<Property Name="` + part + `"/>`)
	}
	return metadataService(`<Edmx Version="1.0"><DataServices><Schema Namespace="S" xmlns:sap="http://www.sap.com/Protocols/SAPData">` +
		`<EntityType Name="E"><Key><PropertyRef Name="A"/><PropertyRef Name="B"/></Key>` + properties.String() +
		`</EntityType><EntityContainer Name="C"><EntitySet Name="Es" EntityType="S.E"/></EntityContainer></Schema>` +
		`</DataServices></Edmx>`)
}

func headerOfRequest(request *wit.Request, name string) string {
	for _, h := range request.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}
