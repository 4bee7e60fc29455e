package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// shop has an order with items, a complex type, a property that cannot be created, and read-only sets.
const shop = `<Schema Namespace="S" xmlns:sap="http://www.sap.com/Protocols/SAPData">
<EntityType Name="Order"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.String" Nullable="false"/>
<Property Name="Note" Type="Edm.String"/><Property Name="Count" Type="Edm.Int32" Nullable="false"/><Property Name="Changed" Type="Edm.DateTime" sap:creatable="false"/>
<Property Name="Place" Type="S.Place"/>
<NavigationProperty Name="Items" Relationship="S.R" FromRole="o" ToRole="i"/><NavigationProperty Name="Buyer" Relationship="S.B" FromRole="o" ToRole="b"/></EntityType>
<EntityType Name="Item"><Key><PropertyRef Name="Pos"/></Key><Property Name="Pos" Type="Edm.Int32" Nullable="false"/>
<NavigationProperty Name="Subs" Relationship="S.R2" FromRole="o" ToRole="i"/></EntityType>
<EntityType Name="Sub"><Key><PropertyRef Name="N"/></Key><Property Name="N" Type="Edm.Decimal" Nullable="false" Precision="5" Scale="1"/></EntityType>
<ComplexType Name="Place"><Property Name="City" Type="Edm.String"/></ComplexType>
<Association Name="R"><End Role="o" Type="S.Order" Multiplicity="1"/><End Role="i" Type="S.Item" Multiplicity="*"/></Association>
<Association Name="R2"><End Role="o" Type="S.Item" Multiplicity="1"/><End Role="i" Type="S.Sub" Multiplicity="*"/></Association>
<Association Name="B"><End Role="o" Type="S.Order" Multiplicity="*"/><End Role="b" Type="S.Item" Multiplicity="0..1"/></Association>
<EntityContainer Name="C"><EntitySet Name="Orders" EntityType="S.Order"/><EntitySet Name="Fixed" EntityType="S.Order" sap:creatable="false"/>
<EntitySet Name="Kept" EntityType="S.Order" sap:deletable="false"/></EntityContainer></Schema>`

func shopService() http.Handler { return metadataService(shop) }

// metadataService returns the metadata, and 201 to all other requests.
func metadataService(metadata string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "$metadata") {
			_, _ = w.Write([]byte(metadata))
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
}

func fields(pairs ...any) connectdata.Map {
	var m connectdata.Map
	for i := 0; i < len(pairs); i += 2 {
		m = append(m, connectdata.Entry{Key: pairs[i], Value: pairs[i+1]})
	}
	return m
}

func TestDeepInsert(t *testing.T) {
	run := openOrders(t)
	items := connectdata.List{fields("Pos", int64(1), "Subs", connectdata.List{fields("N", "1.50")}),
		fields("Pos", int64(2), "Subs", connectdata.List{})}
	for _, test := range []struct {
		value connectdata.Map
		body  string
	}{
		{fields("ID", "a", "Note", nil, "Count", int64(1), "Changed", int64(5), "Place", fields("City", "Ulm"), "Items",
			items, "Buyer", fields("Pos", int64(9))),
			`{"ID":"a","Note":null,"Count":1,"Place":{"City":"Ulm"},"Items":[{"Pos":1,"Subs":[{"N":"1.5"}]},{"Pos":2,"Subs":[]}],"Buyer":{"Pos":9}}`},
		{fields("ID", nil, "Count", nil, "Place", nil, "Items", nil, "Unknown", nil), `{"Place":null}`},
	} {
		result, requests := run.writeRow("Orders", wit.ValueSlice{}, run.schemaless(test.value))
		assert.True(t, result.Written != nil && string(requests[0].Body) == test.body,
			"expected %s, found %s (%+v)", test.body, requests[0].Body, result.Rejected)
	}
	subs := fields("Subs", connectdata.List{fields("N", true)})
	for text, value := range map[string]connectdata.Map{
		"Items: expected an array of S.Item":                     fields("Items", fields("Pos", int64(1))),
		"Items/Subs/N: expected Edm.Decimal, found true":         fields("Items", connectdata.List{subs}),
		"Place/Town: S.Place has no such property":               fields("Place", fields("Town", "Ulm")),
		"Place: expected a struct of S.Place":                    fields("Place", "Ulm"),
		"Buyer: expected a struct of S.Item, found another kind": fields("Buyer", connectdata.List{}),
		"Note: expected Edm.String, found a map":                 fields("Note", fields()),
		"the value: expected a struct of S.Order":                {{Key: int64(1), Value: "x"}},
	} {
		result, _ := run.writeRow("Orders", wit.ValueSlice{}, run.schemaless(value))
		assert.True(t, result.Rejected != nil && strings.HasPrefix(result.Rejected.Message, text),
			"expected %q, found %+v", text, result.Rejected)
	}
}

// A struct with its schema in schemaless data is written as any other.
func TestStructInSchemaless(t *testing.T) {
	run := openOrders(t)
	nodes := nodesOf(column{name: "City", kind: wit.String})
	place := run.withSchema(nodes, connectdata.Struct{"Ulm"})
	nested := connectdata.Nested{Schema: place.Schema, Bytes: run.data[place.Start : place.Start+place.Size]}
	result, requests := run.writeRow("Orders", wit.ValueSlice{}, run.schemaless(fields("ID", "a", "Place", nested)))
	assert.True(t, result.Written != nil && string(requests[0].Body) == `{"ID":"a","Place":{"City":"Ulm"}}`,
		"found %+v %s", result.Rejected, requests[0].Body)
}

func TestConfigurations(t *testing.T) {
	orders := set("00", "Orders")
	for _, test := range []struct {
		settings []string
		setting  string
		message  string
	}{
		{orders, "", ""},
		{append(orders, "sap.odata.operation.mode=INSERT", "sap.odata.enable.delete=true", "topics=Orders"), "", ""},
		{nil, "sap.odata#00.service", "No entity set is configured"},
		{orders[1:], "sap.odata#00.service", "Missing required"},
		{append(orders, "sap.odata.operation.mode=update"), "", ""},
		{append(orders, "sap.odata.operation.mode=Dynamic"), "sap.odata.operation.mode.property",
			"Missing required configuration \"sap.odata.operation.mode.property\""},
		{append(orders, "sap.odata.operation.mode=dynamic", "sap.odata.operation.mode.property=MODE"), "", ""},
		{append(orders, "sap.odata.operation.mode.property=MODE"), "sap.odata.operation.mode.property",
			"Invalid value MODE"},
		{append(orders, "sap.odata.operation.mode=fly"), "sap.odata.operation.mode", "Invalid value fly"},
		{append(orders, "sap.odata.insert.uncertain=retry"), "", ""},
		{append(orders, "sap.odata.max.batch.size=500"), "", ""},
		{append(orders, "sap.odata.max.batch.size=0"), "sap.odata.max.batch.size", "Invalid value 0"},
		{append(orders, "sap.odata.enable.batch=yes"), "sap.odata.enable.batch", "Invalid value yes"},
		{append(orders, "topics=Orders, Customers"), "", ""}, // the host checks it, after transforms
		{append(orders, "sap.odata#1.service=/s", "sap.odata#1.entityset=X", "sap.odata#1.topic=Orders"),
			"sap.odata#1.topic", "Topic Orders is already in sap.odata#00.topic"},
		{append(orders, "sap.odata#00.track-changes=0"), "sap.odata#00.track-changes", "unknown setting"},
	} {
		setting := ""
		message := ""
		inquiry, err := newPlugin().Validate(sinkconfig.V2.Alias, configuration(test.settings...), false, nil, nil)
		require.NoError(t, err)
		for _, e := range *inquiry.Done {
			if len(e.Errors) > 0 && (setting == "" || e.Key.Name == test.setting) {
				setting = e.Key.Name
				message = e.Errors[0]
			}
		}
		assert.True(t, setting == test.setting && strings.HasPrefix(message, test.message) &&
			(test.message == "") == (message == ""),
			"%v: expected %s: %s, found %s: %s", test.settings, test.setting, test.message, setting, message)
	}
}
