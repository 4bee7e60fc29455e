package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// things is a service of OData v4 with a property of each type, and a set with drafts.
const things = `<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
<Schema Namespace="S" xmlns="http://docs.oasis-open.org/odata/ns/edm">
<EnumType Name="Color"><Member Name="Red"/><Member Name="Blue"/></EnumType>
<EnumType Name="Flags" IsFlags="true"><Member Name="A" Value="1"/><Member Name="B" Value="2"/></EnumType>
<ComplexType Name="Place"><Property Name="City" Type="Edm.String"/><Property Name="Since" Type="Edm.Date"/></ComplexType>
<EntityType Name="Thing"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false"/>
<Property Name="Text" Type="Edm.String" MaxLength="9"/><Property Name="Big" Type="Edm.Int64"/>
<Property Name="Amount" Type="Edm.Decimal" Precision="20" Scale="3"/><Property Name="Free" Type="Edm.Decimal" Scale="variable"/>
<Property Name="Ratio" Type="Edm.Double"/><Property Name="Day" Type="Edm.Date"/>
<Property Name="Clock" Type="Edm.TimeOfDay" Precision="7"/><Property Name="Moment" Type="Edm.DateTimeOffset" Precision="7"/>
<Property Name="Took" Type="Edm.Duration"/><Property Name="Raw" Type="Edm.Binary"/><Property Name="Mark" Type="Edm.Guid"/>
<Property Name="Color" Type="S.Color"/><Property Name="Flags" Type="S.Flags"/><Property Name="Spot" Type="Edm.GeographyPoint"/>
<Property Name="Tags" Type="Collection(Edm.String)"/><Property Name="Bigs" Type="Collection(Edm.Int64)"/>
<Property Name="Days" Type="Collection(Edm.Date)"/><Property Name="Place" Type="S.Place"/>
<Property Name="Places" Type="Collection(S.Place)" Nullable="false"/>
<NavigationProperty Name="Parts" Type="Collection(S.Part)"/><NavigationProperty Name="Main" Type="S.Part"/></EntityType>
<EntityType Name="Part"><Key><PropertyRef Name="Pos"/></Key><Property Name="Pos" Type="Edm.Int32" Nullable="false"/>
<Property Name="Text" Type="Edm.String"/></EntityType>
<EntityType Name="Request"><Key><PropertyRef Name="ID"/><PropertyRef Name="IsActiveEntity"/></Key>
<Property Name="ID" Type="Edm.Int32" Nullable="false"/><Property Name="IsActiveEntity" Type="Edm.Boolean" Nullable="false"/>
<Property Name="Title" Type="Edm.String"/></EntityType>
<EntityContainer Name="C"><EntitySet Name="Things" EntityType="S.Thing"><NavigationPropertyBinding Path="Parts" Target="Parts"/>
<NavigationPropertyBinding Path="Main" Target="Parts"/></EntitySet>
<Singleton Name="Me" Type="S.Part"/><EntitySet Name="Parts" EntityType="S.Part"/><EntitySet Name="Requests" EntityType="S.Request"/></EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>`

// openThings opens a sink of the class for v4.
func openThings(t *testing.T, set4 string, more ...string) *harness {
	t.Helper()
	return openClass(t, sinkconfig.V4, metadataService(things), append(set("00", set4), more...)...)
}

// Values of each type are in the forms of OData JSON Format 4.0, with and without a schema.
func TestBodiesOfV4(t *testing.T) {
	const path = "POST /Things "
	run := openThings(t, "Things")
	for _, test := range []struct {
		value connectdata.Map
		want  string // the body, or the start of the error
	}{
		{fields("ID", int64(1), "Big", int64(9007199254740993), "Amount", "12.5", "Free", "0.1234567890123456789"),
			`{"ID":1,"Big":"9007199254740993","Amount":"12.5","Free":"0.1234567890123456789"}`},
		{fields("Ratio", "INF", "Day", "2024-02-29", "Clock", "12:30:00.1234567", "Moment", "2024-01-31T12:00:00.1234567+01:00"),
			`{"Ratio":"INF","Day":"2024-02-29","Clock":"12:30:00.1234567","Moment":"2024-01-31T11:00:00.1234567Z"}`},
		{fields("Moment", int64(0), "Took", "-P1DT12H", "Raw", []byte{0xfb, 0xff, 0xfe, 0}, "Mark",
			"0a0b0c0d-0102-0304-0506-0708090a0b0c"), `{"Moment":"1970-01-01T00:00:00Z","Took":"-P1DT12H","Raw":"-__-AA",` +
			`"Mark":"0a0b0c0d-0102-0304-0506-0708090a0b0c"}`},
		{fields("Color", "Blue", "Flags", "A, B", "Spot", `{"type":"Point","coordinates":[8.6,49.3]}`),
			`{"Color":"Blue","Flags":"A,B","Spot":{"type":"Point","coordinates":[8.6,49.3]}}`},
		{fields("Tags", connectdata.List{"a", nil, `"b"`}, "Bigs", connectdata.List{int64(1), "9007199254740995"},
			"Days", connectdata.List{}), `{"Tags":["a",null,"\"b\""],"Bigs":["1","9007199254740995"],"Days":[]}`},
		{fields("Place", fields("City", "Köln", "Since", "1200-01-01"), "Places", connectdata.List{fields("City", "x"),
			nil}), `{"Place":{"City":"Köln","Since":"1200-01-01"},"Places":[{"City":"x"},null]}`},
		{fields("Text", nil, "Tags", nil, "Places", nil, "Parts@odata.bind", nil), `{"Text":null,"Tags":[],"Places":[]}`},
		{fields("ID", int64(1), "Parts", connectdata.List{fields("Pos", int64(1))}, "Main", fields("Pos", int64(2))),
			`{"ID":1,"Parts":[{"Pos":1}],"Main":{"Pos":2}}`},
		{fields("Main@odata.bind", "Parts(1)", "Parts@odata.bind", connectdata.List{"Parts(2)", "Parts(3)"}),
			`{"Main@odata.bind":"Parts(1)","Parts@odata.bind":["Parts(2)","Parts(3)"]}`},
		{fields("Color", "Green"), "Color: expected a member of S.Color: Red, Blue"},
		{fields("Spot", "[1,2]"), "Spot: expected an object of GeoJSON"},
		{fields("Tags", "a"), "Tags: expected an array of Edm.String"},
		{fields("Bigs", connectdata.List{"x"}), `Bigs: expected Edm.Int64, found "x"`},
		{fields("Other@odata.bind", "X(1)"), "Other@odata.bind: S.Thing has no such property"},
	} {
		result, sent := run.writeRow("Things", wit.ValueSlice{}, run.schemaless(test.value))
		if len(sent) == 1 {
			assert.Equal(t, path+test.want, requestText(&sent[0]), "request")
			continue
		}
		require.True(t, result.Rejected != nil, "expected %s, found %d requests", test.want, len(sent))
		assert.Contains(t, result.Rejected.Message, test.want)
	}
}

// An update that would leave a link as it is, although the record has none, is rejected.
func TestUpdatesRemoveNoLink(t *testing.T) {
	run := openThings(t, "Things", "sap.odata.operation.mode=patch")
	record := run.schemaless(fields("ID", int64(1), "Main@odata.bind", nil))
	result, sent := run.writeRow("Things", wit.ValueSlice{}, record)
	require.True(t, result.Rejected != nil && len(sent) == 0, "expected a rejected record, found %+v", result)
	assert.Contains(t, result.Rejected.Message, "Main@odata.bind: expected the address of an entity, found null")
}

// Requests have the methods and headers of OData v4.
func TestRequestsOfV4(t *testing.T) {
	content := []string{"Accept: application/json;odata.metadata=minimal;IEEE754Compatible=true",
		"Content-Type: application/json;IEEE754Compatible=true", "prefer: return=minimal"}
	versions := []string{"OData-Version: 4.0", "OData-MaxVersion: 4.0"}
	change := slices.Concat([]string{"If-Match: *"}, content, versions)
	for mode, want := range map[string][]string{
		"insert": slices.Concat([]string{"POST /Things"}, content, versions),
		"update": append([]string{"PUT /Things(1)"}, change...),
		"merge":  append([]string{"PATCH /Things(1)"}, change...),
		"patch":  append([]string{"PATCH /Things(1)"}, change...),
		"upsert": append([]string{"PATCH /Things(1)"}, change...),
	} {
		run := openThings(t, "Things", "sap.odata.operation.mode="+mode)
		_, sent := run.writeRow("Things", wit.ValueSlice{}, run.schemaless(fields("ID", int64(1), "Text", "a")))
		require.Equal(t, 1, len(sent), mode, "requests")
		found := []string{sent[0].Method + " " + strings.TrimPrefix(sent[0].Target, gateway)}
		for _, header := range sent[0].Headers {
			found = append(found, header.Name+": "+header.Value)
		}
		assert.Equal(t, want, found, mode)
	}
}

// nestedThing has nested entities.
var nestedThing = fields("ID", int64(1), "Parts", connectdata.List{fields("Pos", int64(2))})

// Updates with nested entities are separate operations unless they are sent as a whole. After the first such record,
// all records are sent in order.
func TestNestedUpdatesOfV4(t *testing.T) {
	for settings, want := range map[string]string{
		"":                                "POST /$batch (repeatable)",
		"sap.odata.nested.updates=deep":   `PATCH /Things(1) If-Match=* (repeatable) {"ID":1,"Parts":[{"Pos":2}]}`,
		"sap.odata.nested.updates=refuse": "Parts: nested content is for inserts only",
		"sap.odata.enable.batch=0":        "Parts: nested content is for inserts only",
	} {
		more := []string{"sap.odata.operation.mode=patch"}
		if settings != "" {
			more = append(more, settings)
		}
		run := openThings(t, "Things", more...)
		host := run.host("Things")
		host.add(wit.ValueSlice{}, run.schemaless(nestedThing))
		host.run()
		found := fmt.Sprint(host.reasons[0])
		if texts := normalizeBatches(host.requestTexts()); len(texts) > 0 {
			found = texts[0]
		}
		assert.Contains(t, found, want)
		isOrdered := settings == ""
		assert.Equal(t, isOrdered, run.opens > 1, settings, "is opened again to send records in order")
		state, err := run.p.cache.Read(run.context)
		require.NoError(t, err)
		assert.Equal(t, isOrdered, state.OrderingKeyCount() == 1, settings, "has one ordering key")
	}
}

// Entities are written as active ones, and a draft in their place is an error of the record.
func TestDrafts(t *testing.T) {
	const inserted = `POST /Requests {"IsActiveEntity":true,"ID":1}`
	for _, test := range []struct {
		name   string
		mode   string
		value  connectdata.Map
		answer string
		want   string
	}{
		{"insert", "insert", fields("ID", int64(1)), "204 Location: Requests(ID=1,IsActiveEntity=true)", inserted},
		{"insert with the key", "insert", fields("ID", int64(1), "IsActiveEntity", true), "201",
			`POST /Requests {"ID":1,"IsActiveEntity":true}`},
		{"insert with null in the key", "insert", fields("ID", int64(1), "IsActiveEntity", nil), "201", inserted},
		{"draft by its address", "insert", fields("ID", int64(1)), "204 Location: Requests(ID=1,IsActiveEntity=false)",
			inserted + " data: POST " + gateway + "/Requests: expected an entity with IsActiveEntity true"},
		{"draft in another set", "insert", fields("ID", int64(1)), "204 Location: Requests.drafts(7)",
			inserted + " data: POST " + gateway + "/Requests: expected an entity with IsActiveEntity true"},
		{"draft by its content", "insert", fields("ID", int64(1)), `201 {"ID":1,"IsActiveEntity":false}`,
			inserted + " data: POST " + gateway + "/Requests: expected an entity with IsActiveEntity true"},
		{"record of a draft", "insert", fields("ID", int64(1), "IsActiveEntity", false), "201",
			"data: IsActiveEntity: expected true, found false: the record is of a draft"},
		{"update of a draft", "patch", fields("ID", int64(1), "IsActiveEntity", false), "204",
			"data: IsActiveEntity: expected true, found false: the record is of a draft"},
		{"update", "patch", fields("ID", int64(1), "Title", "a"), "204",
			`PATCH /Requests(ID=1,IsActiveEntity=true) If-Match=* (repeatable) {"ID":1,"Title":"a"}`},
		{"upsert", "upsert", fields("ID", int64(1)), "204",
			`PATCH /Requests(ID=1,IsActiveEntity=true) If-Match=* (repeatable) {"ID":1}`},
	} {
		run := openThings(t, "Requests", "sap.odata.operation.mode="+test.mode)
		host := run.host("Requests")
		host.add(wit.ValueSlice{}, run.schemaless(test.value))
		host.answer = scripted(t, test.answer)
		host.run()
		found := strings.Join(host.requestTexts(), " ")
		if reason := host.reasons[0]; reason != nil {
			found = strings.TrimSpace(found + " " + reason.Kind.String() + ": " + reason.Message)
		}
		assert.True(t, strings.HasPrefix(found, test.want), "%s: expected %s, found %s", test.name, test.want, found)
	}
}

// Records whose key is of a draft are not written, whether the key is the record's or the value's.
func TestKeysOfDrafts(t *testing.T) {
	draft := fields("ID", int64(1), "IsActiveEntity", false)
	for name, value := range map[string]any{"tombstone": nil, "update": fields("Title", "a")} {
		run := openThings(t, "Requests", "sap.odata.operation.mode=patch", "sap.odata.enable.delete=1",
			"sap.odata.key.from=record")
		content := wit.ValueSlice{}
		if value != nil {
			content = run.schemaless(value)
		}
		result, sent := run.writeRow("Requests", run.schemaless(draft), content)
		assert.Equal(t, 0, len(sent), name, "requests")
		if result.Rejected == nil {
			t.Errorf("%s: expected an error, found %s", name, requestText(&sent[0]))
			continue
		}
		assert.Contains(t, result.Rejected.Message, "the record is of a draft")
	}
}

// A deep update contains the nested entities as an insert does: the service replaces them, so that keys and properties
// that are set by inserts only are needed.
func TestDeepUpdates(t *testing.T) {
	const target = `<Annotations Target="S.Part/%s" xmlns="http://docs.oasis-open.org/odata/ns/edm">` +
		`<Annotation Term="Org.OData.Core.V1.Immutable"/></Annotations>`
	annotated := strings.Replace(things, "</Schema>", fmt.Sprintf(target, "Pos")+fmt.Sprintf(target, "Text")+"</Schema>", 1)
	for set4, want := range map[string]string{
		"Things": `PATCH /Things(1) If-Match=* (repeatable) {"ID":1,"Parts":[{"Pos":2,"Text":"a"}],"Main":{"Pos":3}}`,
		"Parts":  `PATCH /Parts(2) If-Match=* (repeatable) {}`,
	} {
		run := openClass(t, sinkconfig.V4, metadataService(annotated),
			append(set("00", set4), "sap.odata.operation.mode=patch", "sap.odata.nested.updates=deep")...)
		part := fields("Pos", int64(2), "Text", "a")
		value := part
		if set4 == "Things" {
			value = fields("ID", int64(1), "Parts", connectdata.List{part}, "Main", fields("Pos", int64(3)))
		}
		_, sent := run.writeRow(set4, wit.ValueSlice{}, run.schemaless(value))
		require.Equal(t, 1, len(sent), set4, "requests")
		assert.Equal(t, want, requestText(&sent[0]), set4)
	}
}

// The results of batches in JSON belong to rows by their ids. Without certain ids, all rows are in doubt.
func TestAnswersToJSONBatches(t *testing.T) {
	const first = `{"id":"1","status":204,"headers":{}}`
	const conflict = `{"id":"3","status":409,"body":{"error":{"code":"1","message":"no"}}}`
	for _, test := range []struct {
		name     string
		settings string
		results  string // the content of responses
		want     string // outcomes of three rows
		reason   string // a part of the first error of the second row
	}{
		{name: "in another order", results: conflict + `,{"id":"2","status":201},` + first,
			want: "written, written, conflict"},
		{name: "unknown id", results: first + `,{"id":"7","status":201}`, want: "in doubt, in doubt, in doubt",
			reason: `$batch: expected results with the ids 1 to 3, found the id "7": it is not certain which operations`},
		{name: "doubled id", results: first + "," + first, want: "in doubt, in doubt, in doubt",
			reason: `$batch: expected one result for each id, found two with the id "1": it is not certain`},
		{name: "missing id", results: first + `,{"id":"3","status":204}`, want: "written, in doubt, written",
			reason: "the response of HTTP 200 does not contain its result"},
		{name: "missing id of an update", settings: "sap.odata.operation.mode=patch",
			results: first + `,{"id":"3","status":204}`, want: "written, written, written"},
		{name: "unknown id of an update", settings: "sap.odata.operation.mode=patch",
			results: first + `,{"id":"4","status":204}`, want: "written, written, written", reason: `found the id "4"`},
		{name: "dependent", results: first + `,{"id":"2","status":424},{"id":"3","status":424}`,
			want: "written, written, written"},
		{name: "group that was undone", settings: "sap.odata.changesets=all", results: first +
			`,{"id":"2","status":201,"body":{"ID":2}},` + conflict, want: "written, written, written"},
		{name: "cut off", results: first + `,{"id":"2","sta`, want: "written, in doubt, in doubt", reason: "it is cut off"},
	} {
		settings := []string{oneOrderingKey, "sap.odata.batch.format=json"}
		run := openThings(t, "Things", append(settings, strings.Fields(test.settings)...)...)
		host := run.host("Things")
		for i := range 3 {
			host.value("ID", int64(i+1), "Text", "a")
		}
		answer := wit.Response{Status: 200, Body: []byte(`{"responses":[` + test.results + "]}")}
		delivery := host.encoded(1, "Things", host.rows...)[0]
		answered, err := host.p.HandleResponse(host.context, delivery.State, delivery.Rows, answer)
		require.NoError(t, err)
		second := &answered.Results[1]
		if test.reason != "" {
			failure := second.Rejected
			if failure == nil {
				failure = second.Retry.Error
			}
			assert.Contains(t, failure.Message, test.reason)
		}
		isAnswered := false
		host.answer = func(request *wit.Request) wit.Response {
			switch {
			case isAnswered:
				return allWritten(request)
			case request.Method == "GET":
				return wit.Response{Status: 500}
			}
			isAnswered = true
			return answer
		}
		host.run()
		require.NoError(t, host.taskError)
		assert.Equal(t, test.want, strings.Join(host.outcomes, ", "), test.name)
	}
}

// A batch in JSON that the service refuses is sent again as multipart, unless its status does not prove that nothing
// was done: with 406, the service may have inserted the rows before it found no form for the response.
func TestRefusedJSONBatches(t *testing.T) {
	for _, test := range []struct {
		status  uint16
		mode    string
		isAgain bool // the rows are sent again
	}{
		{400, "insert", true}, {415, "insert", true}, {501, "insert", true}, {406, "insert", false}, {406, "patch", true},
	} {
		name := fmt.Sprint(test.status, " ", test.mode)
		run := openThings(t, "Things", oneOrderingKey, "sap.odata.batch.format=auto", "sap.odata.operation.mode="+test.mode)
		host := run.host("Things")
		for i := range 2 {
			host.value("ID", int64(i+1), "Text", "a")
		}
		delivery := host.encoded(1, "Things", host.rows...)[0]
		answered, err := host.p.HandleResponse(host.context, delivery.State, delivery.Rows,
			wit.Response{Status: test.status})
		require.NoError(t, err)
		for i := range answered.Results {
			assert.Equal(t, test.isAgain, answered.Results[i].Retry != nil, name, "is sent again")
		}
		require.True(t, answered.Context != nil, "%s: expected a context of what was learned", name)
		host.context = *answered.Context
		again := host.encoded(1, "Things", host.rows...)[0]
		assert.True(t, strings.HasPrefix(string(again.Request.Body), "--batch_"), "%s: expected multipart, found %s", name,
			again.Request.Body)
	}
}

// A failed changeset has a single response, as by SAP CAP 9, or a response to the changeset with a single message, as
// by SAP CAP 8. Its rows are sent again, each in a changeset of its own.
func TestFailedChangesets(t *testing.T) {
	failed := numbered("2", part("409 Conflict", "Content-Type: application/json\r\n\r\n", `{"error":{"code":"1","message":"no"}}`))
	answers := map[string]wit.Response{"CAP 9": batchAnswer(failed), "CAP 8": batchAnswer(changeset(failed))}
	for name, answer := range answers {
		run := openThings(t, "Things", oneOrderingKey, "sap.odata.operation.mode=patch")
		host := run.host("Things")
		host.value("ID", int64(1), "Text", "a")
		host.value("ID", int64(2), "Text", "a")
		delivery := host.encoded(1, "Things", host.rows...)[0]
		result, err := host.p.HandleResponse(host.context, delivery.State, delivery.Rows, answer)
		require.NoError(t, err)
		for i := range result.Results {
			again := result.Results[i].Retry
			assert.True(t, again != nil && again.Hint == "alone", "%s: expected row %d to be sent again alone, found %+v",
				name, i, result.Results[i])
		}
	}
}

// allWritten answers a request, or each operation of a batch in JSON, with a success.
func allWritten(request *wit.Request) wit.Response {
	if !strings.HasSuffix(request.Target, "/$batch") {
		return wit.Response{Status: 204, Headers: []wit.Header{{Name: "OData-Version", Value: "4.0"}}}
	}
	var results []string
	for i := range strings.Count(string(request.Body), `"id":`) {
		results = append(results, fmt.Sprintf(`{"id":"%d","status":204}`, i+1))
	}
	return wit.Response{Status: 200, Body: []byte(`{"responses":[` + strings.Join(results, ",") + "]}")}
}

// What only OData v2 has is refused by name, and so are services of the other version.
func TestRefusalsOfV4(t *testing.T) {
	for _, test := range []struct{ setting, want string }{
		{"sap.odata.request.format=atom", "sap.odata.request.format"},
		{"sap.odata.nested.updates=all", "sap.odata.nested.updates"},
		{"sap.odata.batch.format=xml", "sap.odata.batch.format"},
	} {
		_, err := newPlugin().Open(sinkconfig.V4.Alias, configuration(append(set("00", "Things"), test.setting)...), nil, nil)
		require.True(t, err != nil, "expected an error of %s", test.setting)
		assert.Contains(t, odataerror.As(err).Message, test.want)
	}
	run := &harness{t: t, service: metadataService(things), p: newPlugin(), class: sinkconfig.V4,
		settings: configuration(set("00", "Me")...)}
	assert.Contains(t, odataerror.As(run.open(nil)).Message,
		"Me of "+gateway+" cannot be written: $metadata has a singleton")
	for _, class := range sinkconfig.Components {
		service := map[*sinkconfig.Component]http.Handler{sinkconfig.V2: metadataService(things),
			sinkconfig.V4: shopService()}[class]
		run := &harness{t: t, service: service, p: newPlugin(), class: class, settings: configuration(set("00", "Orders")...)}
		err := run.open(nil)
		require.True(t, err != nil, "expected an error of %s", class.Alias)
		assert.Contains(t, odataerror.As(err).Message, "OData v")
	}
}
