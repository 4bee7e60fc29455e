package feedreader

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
	odata "github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// newTestContext compiles the feeds of settings with metadata that were read at readAt. Without metadata, those of the
// demo service are used.
func newTestContext(settings []wit.Setting, readAt int64, metadata ...byte) (*Context, error) {
	if failure := setting.FirstError(sourceconfig.V2.Examine(settings)); failure != nil {
		return nil, failure
	}
	context, configs := NewContext(sourceconfig.V2, settings)
	context.ReadAt = readAt
	for _, config := range configs {
		if len(metadata) == 0 {
			recorder := httptest.NewRecorder()
			odatatest.New(odatatest.Options{Rows: 4, Switches: odatatest.Switches{Delta: "links"}}).ServeHTTP(recorder,
				httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8080"+config.Service+"/$metadata", nil))
			metadata = recorder.Body.Bytes()
		}
		service, err := odata.ReadMetadata(edm.V2, config.Service, &wit.Response{Status: 200, Body: metadata})
		if err != nil {
			return nil, err
		}
		feed, err := New(config, service)
		if err != nil {
			return nil, err
		}
		context.Feeds = append(context.Feeds, *feed)
	}
	return context, nil
}

// newOrdersContext compiles the feed of the set Orders with more settings.
func newOrdersContext(more ...string) (*Context, error) {
	const readAt = 0
	return newTestContext(configtest.Source(append(configtest.Set("00", "Orders"), more...)...), readAt)
}

// unknownNameCases are settings that do not match the metadata, and parts of their errors.
var unknownNameCases = []struct {
	settings []string
	// setting follows sap.odata#00.
	setting string
	message string
}{
	{
		settings: []string{"sap.odata#00.entityset=Order"},
		setting:  "entityset",
		message:  "the nearest name is Orders; expected one of ",
	},
	{
		settings: []string{"sap.odata#00.select=Fright"},
		setting:  "select",
		message: "Invalid value Fright for configuration sap.odata#00.select: Fright is no property of " +
			"NorthwindModel.Order; the nearest name is Freight; expected one of OrderID, ",
	},
	{
		settings: []string{"sap.odata#00.select=Customer"},
		setting:  "select",
		message:  "Customer is a navigation property: name Customer in sap.odata#00.expand, too",
	},
	{
		settings: []string{"sap.odata#00.select=Customer/City"},
		setting:  "select",
		message:  "name Customer in sap.odata#00.expand, too",
	},
	{
		settings: []string{"sap.odata#00.expand=Order_Detail"},
		setting:  "expand",
		message: "Order_Detail is no navigation property of " +
			"NorthwindModel.Order; the nearest name is Order_Details; expected one of Customer, ",
	},
	{
		settings: []string{"sap.odata#00.expand=Order_Details/Produkt"},
		setting:  "expand",
		message:  "the nearest name is Product",
	},
	{
		settings: []string{"sap.odata#00.expand=Freight"},
		setting:  "expand",
		message:  "Freight is a property of NorthwindModel.Order, which needs no expansion",
	},
	{
		settings: configtest.Condition("0", "Fright", "eq", "1"),
		setting:  "filter#0.property",
		message:  "the nearest name is Freight",
	},
	{
		settings: configtest.Condition("0", "Customer", "eq", "1"),
		setting:  "filter#0.property",
		message:  "Customer is a navigation property; expected a property after it, such as Customer/CustomerID",
	},
	{
		settings: configtest.Condition("0", "Order_Details/Quantity", "eq", "1"),
		setting:  "filter#0.property",
		message:  "name Order_Details in sap.odata#00.expand, too",
	},
	{
		settings: configtest.Condition("0", "OrderID", "eq", "ten"),
		setting:  "filter#0.low",
		message: "Invalid value ten for configuration sap.odata#00.filter#0.low: OrderID: expected a whole " +
			`number of 32 bits (Edm.Int32), found "ten"`,
	},
	{
		settings: configtest.Condition("0", "OrderID", "eq", "99999999999"),
		setting:  "filter#0.low",
		message:  "a whole number of 32 bits",
	},
	{settings: configtest.Condition("0", "OrderID", "in", "1,,2"), setting: "filter#0.low", message: `found ""`},
	{
		settings: configtest.Condition("0", "OrderID", "bt", "5", "4"),
		setting:  "filter#0.high",
		message:  "expected at least sap.odata#00.filter#0.low, 5",
	},
	{
		settings: configtest.Condition("0", "OrderDate", "ge", "yesterday"),
		setting:  "filter#0.low",
		message:  "expected a date such as 2024-01-31 or 2024-01-31T12:00:00 (Edm.DateTime)",
	},
	{
		settings: configtest.Condition("0", "OrderDate", "ge", "guid'00000000-0000-0000-0000-000000000000'"),
		setting:  "filter#0.low",
		message:  "expected a date",
	},
	{
		settings: configtest.Condition("0", "Freight", "ge", "1,5"),
		setting:  "filter#0.low",
		message:  "expected digits with a point, such as 12.5 (Edm.Decimal)",
	},
	{
		settings: []string{"sap.odata#00.query=$top=5"},
		setting:  "query",
		message:  "it holds $top, which the connector sets by itself",
	},
	{
		settings: []string{"sap.odata#00.query=$select=OrderID", "sap.odata#00.select=OrderID"},
		setting:  "query",
		message:  "found both",
	},
}

// Names that the metadata do not contain are rejected before a row is requested. The error names the setting and the
// existing names.
func TestUnknownNamesAreRejected(t *testing.T) {
	for _, test := range unknownNameCases {
		_, err := newOrdersContext(test.settings...)
		var failure *wit.Error
		assert.True(t, errors.As(err, &failure) && failure.Kind == wit.ErrorConfig && failure.Setting != nil &&
			*failure.Setting == "sap.odata#00."+test.setting && strings.Contains(failure.Message, test.message),
			"%v: expected %s: %s, found %v", test.settings, test.setting, test.message, err)
	}
}

// The error for an invalid cursor names the property.
func TestInvalidCursors(t *testing.T) {
	for _, test := range []struct {
		settings []string
		message  string
	}{
		{[]string{"sap.odata#00.cursor.property=OrderDat"},
			"OrderDat is no property of NorthwindModel.Order; the nearest name is OrderDate; expected one of "},
		{[]string{"sap.odata#00.cursor.property=ShipCity", "sap.odata.cursor.lookback=5"},
			"expected 0 with ShipCity, which is a text"},
	} {
		_, err := newOrdersContext(test.settings...)
		assert.Error(t, err, test.message, test.settings)
	}
}

// The error for fields that cannot be part of a key names them.
func TestInvalidKeyFields(t *testing.T) {
	for fields, want := range map[string]string{
		"PRD":           `expected fields as name=value with commas between them, found "PRD"`,
		"a=1,a=2":       "expected each field once, found a twice",
		"OrderID=7,a=1": "expected other names than the key properties of entity set Orders, found OrderID",
	} {
		_, err := newOrdersContext("sap.odata.key.extra=" + fields)
		var failure *wit.Error
		assert.True(t, errors.As(err, &failure) && failure.Setting != nil &&
			*failure.Setting == "sap.odata.key.extra" && strings.Contains(failure.Message, want),
			"%s: expected %s, found %v", fields, want, err)
	}
}

// fingerprint returns the fingerprint of the set Orders with settings.
func fingerprint(t *testing.T, settings ...string) string {
	t.Helper()
	context, err := newOrdersContext(settings...)
	require.NoError(t, err)
	return Fingerprint(context, &context.Feeds[0], sourceconfig.V2.Table.Values(context.Settings))
}

// A set without settings for its rows keeps the fingerprint that installed offsets have.
func TestFingerprintOfReads(t *testing.T) {
	const plain = "origin=http://127.0.0.1:8080 client= user= " +
		"set=/V2/Northwind/Northwind.svc/Orders mode=full format=json"
	for _, test := range []struct {
		settings []string
		suffix   string
	}{
		{nil, ""},
		{[]string{"sap.odata#00.select="}, ""},
		{[]string{"sap.odata#00.select=Freight"}, " select=OrderID,Freight"},
		{[]string{"sap.odata#00.expand=Customer"}, " expand=Customer"},
		{append(configtest.Condition("0", "Order_Details/Quantity", "gt", "5"),
			append(configtest.Condition("1", "Freight", "lt", "5"), "sap.odata#00.expand=Order_Details")...),
			" expand=Order_Details filter=Freight%20lt%205M inner=Order_Details/Quantity%20gt%205"},
		{[]string{"sap.odata#00.query=search=x"}, " query=search%3Dx"},
	} {
		if found := fingerprint(t, test.settings...); found != plain+test.suffix {
			t.Errorf("%v: expected\n%s, found\n%s", test.settings, plain+test.suffix, found)
		}
	}
}

// Fingerprints contain the mode and the format in use.
func TestFingerprintNamesTheFormat(t *testing.T) {
	tracked := []string{"sap.odata#00.track-changes=1", "sap.odata#00.exec-period=60"}
	for _, test := range []struct {
		settings []string
		mode     string
	}{
		{nil, " mode=full format=json"},
		{[]string{"sap.odata#00.format=atom"}, " mode=full format=atom"},
		{tracked, " mode=delta format=atom"},
		{append(tracked, "sap.odata#00.format=json"), " mode=delta format=json"},
	} {
		found := fingerprint(t, test.settings...)
		assert.True(t, strings.Contains(found, test.mode), "%q: expected%s, found %s", test.settings, test.mode, found)
	}
}

// Bytes that are no context of this version are stale, so that the plugin is opened again.
func TestStaleContext(t *testing.T) {
	context, err := newOrdersContext()
	require.NoError(t, err)
	packed := PackContext(context)
	for _, invalid := range [][]byte{nil, {1}, packed[:len(packed)-1], append(packed, 0)} {
		var failure *wit.Error
		_, err := UnpackContext(invalid)
		assert.True(t, errors.As(err, &failure) && failure.Kind == wit.ErrorStale,
			"a context of %d bytes instead of %d: expected it to be stale, found %v", len(invalid), len(packed), err)
	}
}

// An instance caches the contexts of many tasks with few sets each, and of few tasks with many sets.
func TestContextsAreCached(t *testing.T) {
	context, err := newOrdersContext("sap.odata#00.id=0")
	require.NoError(t, err)
	cacheOf := func(tasks, sets int) (cache Cache) {
		var settings []string
		for i := range sets {
			settings = append(settings, configtest.Set(fmt.Sprintf("%03d", i), "Orders")...)
		}
		for task := range tasks {
			taskContext := &Context{
				Component: context.Component,
				Settings:  configtest.Source(settings...),
				ReadAt:    int64(task),
				Feeds:     slices.Repeat(context.Feeds, sets),
			}
			_, err := cache.Get(PackContext(taskContext))
			require.NoError(t, err)
		}
		return cache
	}
	for _, test := range []struct{ tasks, sets, cached int }{
		{tasks: 12, sets: 1, cached: 12},
		{tasks: 4, sets: maxCompiled / 3, cached: 3},
		{tasks: 3, sets: maxCompiled, cached: 2},
	} {
		n := len(cacheOf(test.tasks, test.sets).entries)
		assert.Equal(t, test.cached, n, test.tasks, "tasks of", test.sets, "sets: contexts")
	}
}

// If metadata lack a property, the page requests them again, however recent they are, and passes on no row before. If a
// value does not fit old metadata, the plugin is opened again. If it does not fit recent ones, the row has an error.
func TestMetadataChangeDuringPage(t *testing.T) {
	const readAt = 1_700_000_000_000
	for _, test := range []struct {
		body       string
		receivedAt int64
		isStale    bool
		// rows, faults and requests that are expected if the page is not stale
		rows     int
		faults   int
		requests int
	}{
		{body: `{"d":[{"ID":1,"New":2}]}`, receivedAt: readAt + 60_001, requests: 1},
		{body: `{"d":[{"ID":1,"New":2}]}`, receivedAt: readAt, requests: 1},
		{body: `{"d":[{"ID":"x"}]}`, receivedAt: readAt + 60_001, isStale: true},
		{body: `{"d":[{"ID":"x"}]}`, receivedAt: readAt, faults: 1},
		{body: `{"d":[{"ID":1}]}`, receivedAt: readAt + 60_001, rows: 1},
	} {
		const metadata = `<Schema Namespace="N"><EntityType Name="T"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false"/></EntityType>` +
			`<EntityContainer Name="C"><EntitySet Name="X" EntityType="N.T"/></EntityContainer></Schema>`
		unpacked, err := newTestContext(configtest.Source(configtest.Set("00", "X")...), readAt, []byte(metadata)...)
		require.NoError(t, err)
		page, err := BeginPage(&Pool{}, unpacked, &unpacked.Feeds[0], []wit.OffsetEntry{wit.StringEntry("url", "/X")},
			&wit.Response{Status: 200, ReceivedAt: test.receivedAt})
		require.NoError(t, err)
		result, _, err := page.Decode("", 200, []byte(test.body), true)
		failure, ok := err.(*wit.Error)
		isStale := ok && failure.Kind == wit.ErrorStale
		assert.True(t, isStale == test.isStale && len(result.Rows) == test.rows && len(result.Errors) == test.faults &&
			len(result.Linked) == test.requests,
			"%s after %d ms: expected %+v, found %v, %d rows, %d faults, %d requests", test.body,
			test.receivedAt-readAt, test, err, len(result.Rows), len(result.Errors), len(result.Linked))
	}
}

// The look-back of a date is in whole days.
func TestLookbackOfDates(t *testing.T) {
	for _, test := range []struct {
		lookback int64
		want     string
	}{
		{0, "2024-03-01"},
		{1, "2024-02-29"},
		{86_400, "2024-02-29"},
		{86_401, "2024-02-28"},
		{63_900_000_000, "0001-01-01"},
		{math.MaxInt64, "0001-01-01"},
	} {
		assert.Equal(t, test.want, subtractLookback(edm.Date, test.lookback, "2024-03-01"), test.lookback)
	}
}

// A property can be a cursor if the service compares its values as they are written.
func TestCursorPropertiesOfV4(t *testing.T) {
	entityType := &edm.StructuredType{}
	for i := edm.Binary; i <= edm.Geo; i++ {
		entityType.Properties = append(entityType.Properties,
			edm.Property{Name: i.String(), Filterable: true, Type: edm.Type{Primitive: i}},
			edm.Property{Name: i.String() + "s", Filterable: true, Type: edm.Type{Primitive: i, Collection: true}})
	}
	assert.Equal(t, "Edm.Byte Edm.Int16 Edm.Int32 Edm.Int64 Edm.Decimal Edm.String Edm.DateTime "+
		"Edm.DateTimeOffset Edm.Date",
		strings.Join(CursorProperties(entityType), " "))
}

// A look-back is never so long that the time before it overflows to a later one.
func TestLookbackDoesNotOverflow(t *testing.T) {
	const end = "2024-01-31T00:00:00"
	for _, lookback := range []int64{
		1, 86_400, 9_223_372_036, 9_223_372_037, 12_000_000_000, 8_000_000_000_000, math.MaxInt64,
	} {
		for _, cursorType := range []edm.Primitive{edm.DateTime, edm.DateTimeOffset} {
			if start := subtractLookback(cursorType, lookback, end); start >= "2024-01-31" {
				t.Errorf("%s, %d s: expected a time before %s, found %s", cursorType, lookback, end, start)
			}
		}
	}
}
