package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// metadataStep is a state of a set: its properties, its row, and the record of the row.
type metadataStep struct {
	properties string
	row        string
	schema     string // the types of the fields after the key
	payload    string // the row in Kafka Connect's JSON
	// readsMetadata means that the metadata are read again.
	readsMetadata bool
}

func propertyOf(name, typ string) string {
	return fmt.Sprintf(`<Property Name="%s" Type="Edm.%s"/>`, name, typ)
}

var metadataSteps = []metadataStep{
	{properties: propertyOf("A", "Int32") + propertyOf("B", "String"), row: `{"ID":1,"A":5,"B":"x"}`,
		schema: "A int32,B string", payload: `{"ID":1,"A":5,"B":"x"}`},
	{properties: propertyOf("A", "Int32") + propertyOf("B", "String") + propertyOf("C", "String"),
		row: `{"ID":2,"A":6,"B":"y","C":"new"}`, schema: "A int32,B string,C string",
		payload: `{"ID":2,"A":6,"B":"y","C":"new"}`, readsMetadata: true},
	// Nothing shows that B was removed: it is null until the metadata are read for another reason or
	// because of their age.
	{properties: propertyOf("A", "Int32") + propertyOf("C", "String"), row: `{"ID":3,"A":7,"C":"z"}`,
		schema: "A int32,B string,C string", payload: `{"ID":3,"A":7,"B":null,"C":"z"}`},
	{properties: propertyOf("A", "Int64") + propertyOf("C", "String"), row: `{"ID":4,"A":"5000000000","C":null}`,
		schema: "A int64,C string", payload: `{"ID":4,"A":5000000000,"C":null}`, readsMetadata: true},
	{properties: propertyOf("A", "String") + propertyOf("C", "String"), row: `{"ID":5,"A":"five","C":null}`,
		schema: "A string,C string", payload: `{"ID":5,"A":"five","C":null}`, readsMetadata: true},
}

// changingService is a set whose metadata change with each step.
type changingService struct {
	step          int
	metadataReads int
}

func (s *changingService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "$metadata") {
		s.metadataReads++
		const key = `<Property Name="ID" Type="Edm.Int32" Nullable="false"/>`
		fmt.Fprint(w, metadataOf("ID", key+metadataSteps[s.step].properties))
		return
	}
	w.Header().Set("Preference-Applied", "odata.track-changes")
	fmt.Fprintf(w, `{"d":{"results":[%s],"__delta":"X?!deltatoken='%d'"}}`, metadataSteps[s.step].row, s.step+1)
}

// A feed in delta mode continues while properties of its type are added, removed, widened and retyped. A row that does
// not fit causes the metadata to be read again before it is written. No row is lost, read twice or an error.
func TestFeedContinuesAfterMetadataChange(t *testing.T) {
	service := &changingService{}
	follower := newFollower(t, service, deltaSetOf("/s", "X")...)
	schemas := record.NewRegistry()
	converter, err := convert.New("JsonConverter", nil, convert.Options{Schemas: schemas})
	require.NoError(t, err)
	var written []string
	follower.onRecord = func(row wit.Row, data []byte) {
		schema, err := schemas.Intern(follower.schemas[row.Value.Schema])
		require.NoError(t, err)
		row.Value.Schema = schema.ID
		batch := &record.Batch{Registry: schemas, Data: data}
		document, _, err := converter.Encode(t.Context(), nil, math.MaxInt32, "t", batch, row.Value)
		require.NoError(t, err)
		written = append(written, string(document))
	}
	reason := start
	for i := range metadataSteps {
		step := &metadataSteps[i]
		service.step = i
		follower.now += sourceconfig.FreshFor + 1
		earlierReads := service.metadataReads
		err := follower.catchUp(reason)
		if faultOf(err).Kind == wit.ErrorStale {
			require.True(t, len(written) == i,
				"%s: a row was written before the metadata were read again: %v", step.row, written)
			follower.start() // as the host does
			err = follower.catchUp(reason)
		}
		require.True(t, err == nil && len(follower.faults) == 0, "%s: %v, %v", step.row, err, follower.faults)
		reason = poll
		reads := service.metadataReads - earlierReads
		require.True(t, len(written) == i+1 && (reads > 0) == step.readsMetadata,
			"%s: expected %d rows and metadata read again %v, found them read %d times, and %v", step.row, i+1,
			step.readsMetadata, reads, written)
		step.checkRecord(t, written[i])
	}
}

// checkRecord checks the schema and the payload of a record in Kafka Connect's JSON.
func (s *metadataStep) checkRecord(t *testing.T, written string) {
	t.Helper()
	var document struct {
		Schema struct {
			Fields []struct{ Field, Type string }
		}
		Payload json.RawMessage
	}
	require.NoError(t, json.Unmarshal([]byte(written), &document))
	var fields []string
	// without the key, RECORDMODE and DELETED_AT
	for _, field := range document.Schema.Fields[1 : len(document.Schema.Fields)-2] {
		fields = append(fields, field.Field+" "+field.Type)
	}
	want := strings.TrimSuffix(s.payload, "}") + `,"RECORDMODE":null,"DELETED_AT":null}`
	if schema := strings.Join(fields, ","); schema != s.schema || string(document.Payload) != want {
		t.Errorf("%s: expected %s of %s, found %s of %s", s.row, want, s.schema, document.Payload, schema)
	}
}

// A new property of a row is in its record, however recent the metadata without it are, and on whatever instance the
// page is read again: metadata that are read after the row arrived decide. A property that they do not contain either
// is left out, and does not cause further reads of the metadata.
func TestPropertyNewerThanMetadata(t *testing.T) {
	const late = `<Property Name="Late" Type="Edm.String"/>`
	for _, test := range []struct {
		name     string
		settings []string
		// row is the new content of the third row, at the top level or in the complex type.
		row    string
		nested bool
		// unselected means that the property is not selected.
		unselected bool
		// declared is the poll before which the metadata get the property. -1 means never.
		declared int
		// reads is the number of reads of the metadata: at the start, during a page, and afterwards.
		reads int
	}{
		{name: "at once", row: `"Late":"x"`, reads: 3},
		{name: "in delta mode", settings: []string{"sap.odata#00.track-changes=1"}, row: `"Late":"x"`, reads: 3},
		{name: "in a complex type", row: `"In":{"Late":"x"}`, nested: true, reads: 3},
		{name: "that is not selected", settings: []string{"sap.odata#00.select=Pad"}, row: `"Late":"x"`,
			unselected: true, reads: 3},
		{name: "before it is declared", row: `"Late":"x"`, declared: 4, reads: 6},
		{name: "that is never declared", row: `"Late":"x","Later":1`, declared: -1, reads: 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			properties := ""
			complexProperties := ""
			reads := 0
			polls := 0
			service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "$metadata") {
					reads++
					fmt.Fprint(w, metadataOf("ID", `<Property Name="ID" Type="Edm.Int32" Nullable="false"/>`+
						`<Property Name="Pad" Type="Edm.String"/><Property Name="In" Type="N.C"/>`+properties,
						`<ComplexType Name="C"><Property Name="Old" Type="Edm.String"/>`+complexProperties+
							`</ComplexType>`))
					return
				}
				pad := strings.Repeat("p", 500)
				fmt.Fprintf(w,
					`{"d":{"__count":"3","results":[{"ID":1,"Pad":"%s"},{"ID":2,"Pad":"%[1]s"},{"ID":3,"Pad":`+
						`"%[1]s",%s}],"__delta":"X?!deltatoken='1'"}}`, pad, test.row)
			})
			follower := newFollower(t, service, setOf("/s", "X",
				append(test.settings, "sap.odata#00.exec-period=60")...)...)
			reason := start
			delivered := 0
			for ; polls < 12; polls++ {
				if polls == test.declared {
					properties = late
					if test.nested {
						properties = ""
						complexProperties = late
					}
				}
				err := follower.catchUpReopening(reason)
				require.True(t, err == nil && len(follower.faults) == 0, "%v %v", err, follower.faults)
				reason = poll
				follower.now += sourceconfig.FreshFor + 1
			}
			for _, row := range follower.log {
				if row.key != "[3]" {
					continue
				}
				delivered++
				hasProperty := row.value["Late"] == "x" || strings.Contains(fmt.Sprint(row.value["In"]), "x")
				isExpected := test.declared == 0 && !test.unselected
				assert.True(t, !isExpected || hasProperty, "unexpected record %v", row.value)
			}
			last := follower.state["[3]"]
			assert.True(t, test.declared <= 0 || last["Late"] == "x", "after the declaration the row is %v", last)
			assert.True(t, delivered == 12 && reads == test.reads,
				"expected 12 rows and %d reads of the metadata, found %d and %d", test.reads, delivered, reads)
		})
	}
}

// Rows of a derived type are read as the set's type. Their additional properties do not mean that the metadata have
// changed.
func TestRowsOfADerivedType(t *testing.T) {
	reads := 0
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "$metadata") {
			reads++
			io.WriteString(w, `<Schema Namespace="N"><EntityType Name="Person"><Key><PropertyRef Name="ID"/></Key>`+
				`<Property Name="ID" Type="Edm.Int32" Nullable="false"/></EntityType>`+
				`<EntityType Name="Employee" BaseType="N.Person"><Property Name="Salary" Type="Edm.Int32"/></EntityType>`+
				`<EntityType Name="Boss" BaseType="N.Employee"><Property Name="Car" Type="Edm.String"/></EntityType>`+
				`<EntityContainer Name="C"><EntitySet Name="X" EntityType="N.Person"/></EntityContainer></Schema>`)
			return
		}
		io.WriteString(w, `{"d":{"results":[{"ID":1},{"__metadata":{"type":"N.Employee"},"ID":2,"Salary":3},`+
			`{"__metadata":{"type":"N.Boss"},"ID":3,"Salary":4,"Car":"c"}],"__delta":"X?!deltatoken='1'"}}`)
	})
	follower := newFollower(t, service, deltaSetOf("/s", "X")...)
	reason := start
	for range 4 {
		follower.now += sourceconfig.FreshFor + 1
		err := follower.catchUp(reason)
		require.True(t, err == nil && len(follower.faults) == 0, "%v %v", err, follower.faults)
		reason = poll
	}
	assert.True(t, len(follower.log) == 12 && reads == 1,
		"expected 12 rows after one read of the metadata, found %d after %d", len(follower.log), reads)
	o, err := follower.p.contexts.Get(follower.opened.Context)
	require.NoError(t, err)
	want := "[Salary N.Employee Salary N.Boss Car N.Boss]"
	assert.Equal(t, want, fmt.Sprint(o.Feeds[0].Derived), "derived properties")
	// With their properties if configured, in both formats and after a restart with the packed context.
	load := newLoad(t, service, setOf("/s", "X", "sap.odata#00.derived=include", "sap.odata.count=none")...)
	_, err = load.readPages(0, nil, 1)
	require.True(t, err == nil && len(load.faults) == 0, "%v %v", err, load.faults)
	want = "[[1 <nil> <nil>] [2 3 <nil>] [3 4 c]]"
	values := fmt.Sprint(load.values)
	assert.True(t, values == want, "expected the rows %s, found %s", want, values)
	want = newLoad(t, service, setOf("/s", "X")...).opened.Feeds[0].Fingerprint + " derived=include"
	fingerprint := load.opened.Feeds[0].Fingerprint
	assert.True(t, fingerprint == want, "expected the fingerprint %s, found %s", want, fingerprint)
}

// TestDerivedTypesWithOtherFacets checks that two derived types are rejected if they define a property of the same name
// with a different type, in either order. Facets that do not affect values may differ.
func TestDerivedTypesWithOtherFacets(t *testing.T) {
	const (
		day   = `Type="Edm.DateTime" sap:display-format="Date"`
		dates = "sap.odata.date.mapping=date"
		zone  = "sap.odata.datetime.zone=Europe/Berlin"
	)
	for _, test := range []struct {
		first    string
		second   string
		settings string
		fails    bool
	}{
		{first: `Type="Edm.Int32"`, second: `Type="Edm.String"`, fails: true},
		{first: day, second: `Type="Edm.DateTime"`, settings: dates, fails: true},
		{first: day, second: `Type="Edm.DateTime"`, settings: zone, fails: true},
		{first: day, second: `Type="Edm.DateTime"`},
		{first: day, second: day, settings: dates},
		{first: `Type="Edm.Decimal" Precision="9" Scale="2"`, second: `Type="Edm.Decimal" Precision="9" Scale="5"`,
			fails: true},
		{first: `Type="Edm.Decimal" Precision="9" Scale="2"`, second: `Type="Edm.Decimal" Precision="7" Scale="2"`,
			fails: true},
		{first: `Type="Edm.Decimal" Precision="9" Scale="2"`,
			second: `Type="Edm.Decimal" Precision="9" Scale="Variable"`, fails: true},
		{first: `Type="Edm.Decimal" Scale="2"`, second: `Type="Edm.Decimal"`, fails: true},
		{first: `Type="Edm.Decimal" Precision="9" Scale="2" sap:label="a"`,
			second: `Type="Edm.Decimal" Precision="9" Scale="2"`},
		{first: `Type="Edm.DateTime" Precision="0"`, second: `Type="Edm.DateTime" Precision="7"`, settings: dates},
		{first: `Type="Edm.String" MaxLength="3"`, second: `Type="Edm.String"`},
		{first: `Type="Edm.String" m:FC_TargetPath="SyndicationTitle" m:FC_KeepInContent="false"`,
			second: `Type="Edm.String"`, fails: true},
		{first: `Type="Edm.String" m:FC_TargetPath="SyndicationTitle"`,
			second: `Type="Edm.String" m:FC_TargetPath="SyndicationSummary"`, fails: true},
	} {
		for _, types := range [][]string{{test.first, test.second}, {test.second, test.first}} {
			service := withMetadata(`<Schema Namespace="N" xmlns:sap="http://www.sap.com/Protocols/SAPData" `+
				`xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><EntityType Name="T"><Key>`+
				`<PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false"/></EntityType>`+
				`<EntityType Name="A" BaseType="N.T"><Property Name="X" `+types[0]+`/></EntityType>`+
				`<EntityType Name="B" BaseType="N.T"><Property Name="X" `+types[1]+`/></EntityType>`+
				`<EntityContainer Name="C"><EntitySet Name="X" EntityType="N.T"/></EntityContainer></Schema>`, nil)
			settings := setOf("/s", "X", "sap.odata#00.derived=include")
			if test.settings != "" {
				settings = append(settings, test.settings)
			}
			err := newUnopened(t, service).open(settings...)
			hasFailed := errorContains(err, "property X of N.B is Edm.") && errorContains(err, "expected ignore") &&
				*faultOf(err).Setting == "sap.odata#00.derived"
			assert.True(t, (test.fails || err == nil) && (!test.fails || hasFailed),
				"%v, %s: expected a fault %v, found %v", types, test.settings, test.fails, err)
		}
	}
}

// The error for a property whose type OData v2 does not have names the setting that reads the set without it.
func TestPropertyOfUnsupportedType(t *testing.T) {
	for _, property := range []string{`Type="Collection(Edm.String)"`, `Type="Edm.GeographyPoint"`, `Type="N.Lost"`} {
		metadata := metadataOf("ID", `<Property Name="ID" Type="Edm.Int32" Nullable="false"/><Property Name="Odd" `+
			property+`/><Property Name="Name" Type="Edm.String"/>`)
		service := withMetadata(metadata, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"d":{"results":[{"ID":1,"Odd":{"results":["a"]},"Name":"n"}]}}`)
		})
		err := newUnopened(t, service).open(setOf("/s", "X")...)
		assert.True(t, errorContains(err, "property Odd of N.T") &&
			errorContains(err, "sap.odata#00.select with the required properties"), "%s: %v", property, err)
		l := newLoad(t, service, setOf("/s", "X", "sap.odata#00.select=Name", "sap.odata.count=none")...)
		_, err = l.readPages(0, nil, 1)
		assert.True(t, err == nil && len(l.values) == 1 && l.values[0] == "[1 n]" && len(l.faults) == 0,
			"%s: %v, %v, %v", property, l.values, err, l.faults)
	}
}
