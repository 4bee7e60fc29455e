package main

import (
	"bytes"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

const gateway = "/sap/opu/odata/sap/NORTHWIND_SRV"

// configuration returns the settings of a host and more ones, each NAME=VALUE.
func configuration(more ...string) []wit.Setting {
	lines := append([]string{"sap.odata.host.protocol=http", "sap.odata.host.address=127.0.0.1",
		"sap.odata.host.port=8080"}, more...)
	var settings []wit.Setting
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		settings = append(settings, wit.Setting{Name: name, Value: value})
	}
	return settings
}

// set returns the settings of an entity set whose topic has its name.
func set(number, name string) []string {
	return []string{"sap.odata#" + number + ".service=" + gateway, "sap.odata#" + number + ".entityset=" + name,
		"sap.odata#" + number + ".topic=" + name}
}

// harness calls a sink, and a service for the requests of the sink.
type harness struct {
	t       *testing.T
	service http.Handler
	p       *plugin
	class   *sinkconfig.Component
	context []byte
	schemas []wit.Schema
	data    []byte
	bodies  []string // of the requests

	settings []wit.Setting
	opens    int
}

// openOrders opens a sink for the orders of the shop.
func openOrders(t *testing.T, more ...string) *harness {
	t.Helper()
	return open(t, shopService(), append(set("00", "Orders"), more...)...)
}

// northwind returns settings for copies of products at a WCF service.
func northwind(more ...string) []string {
	return append([]string{"sap.odata#00.service=" + odatatest.NorthwindPath, "sap.odata#00.entityset=ProductCopies",
		"sap.odata#00.topic=ProductCopies"}, more...)
}

// encoded returns the deliveries of rows, whose number must be count.
func (h *harness) encoded(count int, topic string, rows ...wit.Row) []wit.Delivery {
	h.t.Helper()
	out, err := h.p.Encode(h.context, h.schemas, []string{topic}, rows, slices.Clone(h.data), nil, nil, nil)
	require.True(h.t, err == nil && len(out.Ready) == count, "expected %d deliveries, found %+v (%v)", count, out, err)
	return out.Ready
}

func expectEqual[T any](t *testing.T, subject string, expected, found T) {
	t.Helper()
	assert.Equal(t, expected, found, subject)
}

// open returns a harness whose sink is open, after the requests for the service's metadata.
func open(t *testing.T, service http.Handler, more ...string) *harness {
	t.Helper()
	return openClass(t, sinkconfig.V2, service, more...)
}

// openClass is open for a connector class.
func openClass(t *testing.T, class *sinkconfig.Component, service http.Handler, more ...string) *harness {
	t.Helper()
	run := &harness{t: t, service: service, p: newPlugin(), class: class, settings: configuration(more...)}
	require.NoError(t, run.open(nil))
	return run
}

// variants are the classes, and the formats of batches in v4, with the path of their services.
var variants = []struct {
	name     string
	class    *sinkconfig.Component
	path     string
	settings []string
	switches []string
}{
	{name: "v2", class: sinkconfig.V2, path: gateway},
	{name: "v4", class: sinkconfig.V4, path: odatatest.SAP4Path},
	{name: "v4 in JSON", class: sinkconfig.V4, path: odatatest.SAP4Path, settings: []string{"sap.odata.batch.format=json"}},
	{name: "v4 without JSON", class: sinkconfig.V4, path: odatatest.SAP4Path,
		settings: []string{"sap.odata.batch.format=auto"}, switches: []string{"no-json-batch=true"}},
}

// openVariant is open for one of [variants], whose settings are added.
func openVariant(t *testing.T, variant int, service *odatatest.Service, more ...string) *harness {
	t.Helper()
	setSwitches(t, service, variants[variant].switches...)
	return openClass(t, variants[variant].class, service, variantSettings(variant, more)...)
}

// variantSettings returns more with the settings of the variant with this index added, and the service at its path.
func variantSettings(variant int, more []string) []string {
	settings := append(slices.Clone(more), variants[variant].settings...)
	for i := range settings {
		settings[i] = strings.Replace(settings[i], "service="+gateway, "service="+variants[variant].path, 1)
	}
	return settings
}

// open opens the sink, with a state after an error that requires it.
func (h *harness) open(state []byte) error {
	h.opens++
	inquiry, err := h.p.Open(h.class.Class, h.settings, state, nil)
	require.NoError(h.t, err)
	var responses []wit.Response
	for _, request := range inquiry.Pending.Requests {
		responses = append(responses, h.exchange(&request))
	}
	opened, err := h.p.Open(h.class.Class, h.settings, inquiry.Pending.State, responses)
	if err == nil {
		h.context = opened.Ready.Context
	}
	return err
}

// callEncode encodes rows of a topic. It opens the plugin again whenever its context is stale, as the host does.
func (h *harness) callEncode(topic string, rows []wit.Row, ids []wit.RecordID,
	hints []wit.Hint) (wit.EncodeResult, error) {
	for {
		out, err := h.p.Encode(h.context, h.schemas, []string{topic}, rows, slices.Clone(h.data), ids,
			[]string{"origin"}, hints)
		if err == nil || odataerror.As(err).Kind != wit.ErrorStale {
			return out, err
		}
		if err := h.open([]byte(*odataerror.As(err).Detail)); err != nil {
			return out, err
		}
	}
}

// exchange returns the service's response to a request, and appends the request's body to h.bodies.
func (h *harness) exchange(request *wit.Request) wit.Response {
	httpRequest := httptest.NewRequest(request.Method, "http://127.0.0.1:8080"+request.Target,
		bytes.NewReader(request.Body))
	for _, header := range request.Headers {
		httpRequest.Header.Set(header.Name, header.Value)
	}
	recorder := httptest.NewRecorder()
	h.service.ServeHTTP(recorder, httpRequest)
	h.bodies = append(h.bodies, string(request.Body))
	response := wit.Response{
		Tag:    request.Tag,
		Status: uint16(recorder.Code),
		Target: request.Target,
		Body:   recorder.Body.Bytes(),
	}
	for name := range recorder.Header() {
		response.Headers = append(response.Headers, wit.Header{Name: name, Value: recorder.Header().Get(name)})
	}
	return response
}

// withSchema appends a value and its schema to the harness and returns the place of the value.
func (h *harness) withSchema(nodes []wit.SchemaNode, v any) wit.ValueSlice {
	h.t.Helper()
	id := uint32(len(h.schemas) + 1)
	h.schemas = append(h.schemas, wit.Schema{ID: id, Nodes: nodes})
	start := len(h.data)
	var err error
	h.data, err = connectdata.Append(h.data, nodes, 0, v)
	require.NoError(h.t, err)
	return wit.ValueSlice{Encoding: wit.WithSchema, Schema: id, Start: uint32(start), Size: uint32(len(h.data) - start)}
}

// schemaless appends a value without a schema to the harness and returns its place.
func (h *harness) schemaless(v any) wit.ValueSlice {
	h.t.Helper()
	start := len(h.data)
	var err error
	h.data, err = connectdata.AppendSchemaless(h.data, v)
	require.NoError(h.t, err)
	return wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(start), Size: uint32(len(h.data) - start)}
}

// writeRow writes one row. The result is empty if the row was ignored, and has the error of the task if there is one.
func (h *harness) writeRow(topic string, key, value wit.ValueSlice) (result wit.RowResult, requests []wit.Request) {
	h.t.Helper()
	host := h.host(topic)
	host.add(key, value)
	host.run()
	result.Rejected = host.reasons[0]
	if host.taskError != nil {
		result.Rejected = odataerror.As(host.taskError)
	}
	if host.outcomes[0] == outcomeWritten {
		result = wit.RowResult{Written: wit.Set}
	}
	return result, host.requests
}

type column struct {
	name     string
	logical  string
	kind     wit.Kind
	optional bool
}

// nodesOf returns the schema of a struct. Decimals have the scale 4.
func nodesOf(columns ...column) []wit.SchemaNode {
	nodes := []wit.SchemaNode{{Kind: wit.Struct}}
	for _, field := range columns {
		node := wit.SchemaNode{Kind: field.kind, Optional: field.optional}
		if field.logical != "" {
			node.Name = wit.Ptr(field.logical)
		}
		if field.logical == wit.NameDecimal {
			node.Parameters = []wit.Setting{{Name: wit.ParameterScale, Value: "4"}}
		}
		nodes[0].Fields = append(nodes[0].Fields, wit.Field{Name: field.name, Node: uint32(len(nodes))})
		nodes = append(nodes, node)
	}
	return nodes
}

// detail is the schema of an order's detail. The entity type has no property Gone.
var detail = nodesOf(
	column{name: "OrderID", kind: wit.Int32},
	column{name: "ProductID", kind: wit.Int32},
	column{name: "UnitPrice", kind: wit.Bytes, logical: wit.NameDecimal},
	column{name: "Quantity", kind: wit.Int16},
	column{name: "Discount", kind: wit.Float32},
	column{name: "Gone", kind: wit.String, optional: true},
)

// detailOf returns a value of detail.
func detailOf(order, product int32) connectdata.Struct {
	return connectdata.Struct{order, product, big.NewInt(123400).Bytes(), int16(5), float32(0.05), nil}
}

var detailKey = nodesOf(column{name: "ProductID", kind: wit.Int32}, column{name: "OrderID", kind: wit.Int32})

func TestTombstonesAreIgnoredByDefault(t *testing.T) {
	run := open(t, odatatest.New(odatatest.Options{}), set("00", "Order_DetailCopies")...)
	key := run.withSchema(detailKey, connectdata.Struct{int32(1), int32(1)})
	result, requests := run.writeRow("Order_DetailCopies", key, wit.ValueSlice{})
	assert.True(t, result == (wit.RowResult{}) && len(requests) == 0,
		"expected the row to be ignored, found %+v and %d requests", result, len(requests))
}

func TestRejectedRows(t *testing.T) {
	run := open(t, odatatest.New(odatatest.Options{}), append(set("00", "Order_DetailCopies"),
		"sap.odata.enable.delete=1")...)
	unknown := detailOf(1, 1)
	unknown[5] = "x"
	for message, row := range map[string]struct{ key, value wit.ValueSlice }{
		"Gone: NORTHWIND_SRV.Order_DetailCopy has no such property": {
			value: run.withSchema(detail, unknown),
		},
		"Quantity: expected Edm.Int16 from -32768 to 32767, found integer 70000": {
			value: run.schemaless(fields("Quantity", int64(70000))),
		},
		"the value: expected a struct of NORTHWIND_SRV.Order_DetailCopy": {
			value: run.schemaless("text"),
		},
		"a tombstone without a key does not": {},
		"the key needs property ProductID": {
			key: run.schemaless(fields("OrderID", int64(1))),
		},
		"key property ProductID: expected Edm.Int32, found \"x\"": {
			key: run.schemaless(fields("OrderID", int64(1), "ProductID", "x")),
		},
		"the key needs property OrderID of NORTHWIND_SRV.Order_DetailCopy: ": {
			key: run.schemaless("plain"),
		},
	} {
		result, requests := run.writeRow("Order_DetailCopies", row.key, row.value)
		assert.True(t, result.Rejected != nil && result.Rejected.Kind == wit.ErrorData &&
			strings.HasPrefix(result.Rejected.Message, message) && len(requests) == 0,
			"expected %q, found %+v and %d requests", message, result.Rejected, len(requests))
	}
	result, _ := run.writeRow("other", wit.ValueSlice{}, run.schemaless(connectdata.Map{}))
	assert.True(t, result.Rejected != nil && result.Rejected.Kind == wit.ErrorData,
		"a topic that is not configured: expected an error of the record, found %+v", result)
}

// A lock whose status or message code is in http.codes fails the task after the attempts, so it loses no row: alone and
// in a batch.
func TestLockWithConfiguredCodeRejectsNoRow(t *testing.T) {
	locked := denial("MC/601", "Order 7 is locked by user SMITH")
	for _, test := range []struct {
		codes  string
		status uint16
		want   string
	}{
		{"400", 400, "again transient"},
		{"409,423", 409, "again transient"},
		{"409,423", 423, "again transient"},
		{"500", 500, "again transient"},
		{"mc/601", 400, "again transient"},
		{"409,423,MC/602", 400, "again conflict"},
	} {
		run := open(t, withoutVersion(odatatest.New(odatatest.Options{})), products(oneOrderingKey,
			"sap.odata.enable.delete=1", "sap.odata.http.codes="+test.codes)...)
		for _, operation := range []requests.Operation{requests.Insert, requests.Put, requests.Delete} {
			result, err := run.p.HandleResponse(run.context, run.deliveryState(operation, "/s/Products(1)"), []uint32{4},
				wit.Response{Status: test.status, Body: []byte(locked)})
			found := describe(t, result, err)
			assert.Equal(t, test.want, found, "operation", operation, "HTTP", test.status, "with codes", test.codes)
			isAdvised := result.Results[0].Retry != nil && strings.Contains(result.Results[0].Retry.Error.Message,
				"sap.odata.http.codes")
			assert.True(t, isAdvised == (test.want == "again conflict"),
				"HTTP %d with codes %s: expected advice to set them %t", test.status, test.codes, !isAdvised)
		}
		lockedPart := part(fmt.Sprint(test.status, " Locked"), "Content-Type: application/json\r\n\r\n", locked)
		result, _ := answerInserts(t, 2, lockedPart, "sap.odata.http.codes="+test.codes)
		if r := result.Results[1].Retry; r == nil || r.Error == nil || "again "+r.Error.Kind.String() != test.want {
			t.Errorf("part with HTTP %d and codes %s: expected %s, found %+v", test.status, test.codes, test.want,
				result.Results[1])
		}
	}
}

// describe returns the result of one row in words: written, "refused KIND CODE" if it is rejected, "again KIND HINT" if
// it is to be sent again, or "fault KIND" if the task fails.
func describe(t *testing.T, result wit.ResponseResult, err error) string {
	t.Helper()
	found := "written"
	switch results := result.Results; {
	case err != nil:
		found = "fault " + odataerror.As(err).Kind.String()
	case len(results) != 1:
		t.Fatalf("expected one result, found %d", len(results))
	case results[0].Rejected != nil:
		found = "refused " + results[0].Rejected.Kind.String()
		if code := results[0].Rejected.Code; code != nil {
			found += " " + *code
		}
	case results[0].Retry != nil:
		found = "again"
		if results[0].Retry.Error != nil {
			found += " " + results[0].Retry.Error.Kind.String()
		}
		if results[0].Retry.Hint != "" {
			found += " " + results[0].Retry.Hint
		}
	}
	return found
}

// target returns the target of a request to the first set. path may contain a key.
func (h *harness) target(operation requests.Operation, path string) requests.Target {
	h.t.Helper()
	state, err := h.p.cache.Read(h.context)
	require.NoError(h.t, err)
	target := requests.Target{Operation: operation, Set: &state.Sets[0]}
	if _, key, ok := strings.Cut(path, "("); ok {
		target.Predicate = "(" + key
	}
	switch operation {
	case requests.ConfirmDelete:
		target.Hint.Step = requests.StepConfirm
	case requests.UpsertInsert:
		target.Hint.Step = requests.StepInsert
	}
	return target
}

// deliveryState returns the state of a single request that would be encoded now.
func (h *harness) deliveryState(operation requests.Operation, path string) []byte {
	target := h.target(operation, path)
	state, err := h.p.cache.Read(h.context)
	require.NoError(h.t, err)
	head := requests.AppendStateHead(nil, 0, 0, 1, state.ServiceCapabilities[0], false)
	return target.AppendState(head, nil, true)
}

// withoutVersion removes the version from the responses of a service.
func withoutVersion(service http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		service.ServeHTTP(recorder, r)
		maps.Copy(w.Header(), recorder.Header())
		w.Header().Del("DataServiceVersion")
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
	})
}

// Rows of one entity have the same ordering key, whether its key is in the value or in the record's key.
func TestOrderingKeys(t *testing.T) {
	run := open(t, odatatest.New(odatatest.Options{}), append(set("00", "Order_DetailCopies"),
		"sap.odata.enable.delete=1", "sap.odata.enable.batch=0")...)
	rows := []wit.Row{
		{Value: run.withSchema(detail, detailOf(3, 4))},
		{Key: run.withSchema(detailKey, connectdata.Struct{int32(4), int32(3)})},
		{Key: run.schemaless(fields("OrderID", int64(3), "ProductID", int64(5)))},
	}
	out := run.encoded(3, "Order_DetailCopies", rows...)
	assert.True(t, out[0].OrderingKey == out[1].OrderingKey && out[1].OrderingKey != out[2].OrderingKey,
		"expected ordering keys of two entities, found %d, %d, %d", out[0].OrderingKey, out[1].OrderingKey,
		out[2].OrderingKey)
	for _, delivery := range out {
		assert.True(t, delivery.Request.TokenPath != nil && *delivery.Request.TokenPath == gateway+"/" &&
			delivery.Request.Repeatable == (delivery.Request.Method == "DELETE"),
			"%s: expected a token from %s/, and repeatable for DELETE only, found %v, %v", delivery.Request.Method,
			gateway, delivery.Request.TokenPath, delivery.Request.Repeatable)
	}
}
