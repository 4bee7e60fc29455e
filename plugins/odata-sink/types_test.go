package main

import (
	"math/big"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// A set with every type and its limits is read as a source does and written to a copy. Both are equal, except for what
// Kafka Connect's types cannot express.
func TestEveryType(t *testing.T) {
	for variant := range variants {
		t.Run(variants[variant].name, func(t *testing.T) { testEveryType(t, variant) })
	}
}

// Inserts of every type whose answers are lost are looked up, and the entities have the values that were sent.
func TestLostInsertsOfEveryType(t *testing.T) {
	for variant := range variants {
		t.Run(variants[variant].name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{})
			run := openVariant(t, variant, service, append(set("00", "AllTypesCopies"), checkInDoubt)...)
			out, value := read(t, service)
			for i := range out.Rows {
				run.schemas = []wit.Schema{{ID: 1, Nodes: value}}
				run.data = out.Data
				host := run.host("AllTypesCopies")
				out.Rows[i].Value.Schema = 1
				host.add(wit.ValueSlice{}, out.Rows[i].Value)
				host.answer = func(request *wit.Request) wit.Response {
					answer := run.exchange(request)
					if request.Method == "POST" {
						return wit.Response{}
					}
					return answer
				}
				host.run()
				assert.True(t, host.outcome() == outcomeWritten && len(host.requests) == 2,
					"row %d: %s after %d requests: %v\n%s", i, host.outcome(), len(host.requests),
					host.reasons[0], run.bodies[0])
				run.bodies = nil
			}
		})
	}
}

func testEveryType(t *testing.T, variant int) {
	service := odatatest.New(odatatest.Options{})
	run := openVariant(t, variant, service, set("00", "AllTypesCopies")...)
	out, value := read(t, service)
	run.schemas = []wit.Schema{{ID: 1, Nodes: value}}
	run.data = out.Data
	for _, row := range out.Rows {
		row.Value.Schema = 1
		if result, _ := run.writeRow("AllTypesCopies", wit.ValueSlice{}, row.Value); result.Written == nil {
			t.Fatalf("row %d: %+v\n%s", row.RowIndex, result.Rejected, run.bodies[len(run.bodies)-1])
		}
	}
	originals := dump(service, "AllTypes")
	copies := dump(service, "AllTypesCopies")
	require.True(t, len(originals) >= 200, "expected more rows, found %d", len(originals))
	expectEqual(t, "copies", originals, copies)
}

// read returns the rows of AllTypes as a source does, and the schema of their values.
func read(t *testing.T, service *odatatest.Service) (*decode.Output, []wit.SchemaNode) {
	t.Helper()
	get := func(target string) []byte {
		recorder := httptest.NewRecorder()
		service.ServeHTTP(recorder, httptest.NewRequest("GET", gateway+"/"+target, nil))
		return recorder.Body.Bytes()
	}
	model, err := edm.Parse(get("$metadata"), edm.V2)
	require.NoError(t, err)
	typ := model.Structure(model.Set("AllTypes").Type)
	layout, err := decode.NewRowSchema(model, edm.WholeView(typ), edm.Options{})
	require.NoError(t, err)
	value, err := model.ValueSchema(typ, edm.Options{})
	require.NoError(t, err)
	out := &decode.Output{}
	require.NoError(t, decode.NewAtom(layout).Write(get("AllTypes?$format=atom"), true, out))
	if len(out.RowErrors) > 0 {
		t.Fatal(out.RowErrors[0])
	}
	return out, value
}

// dump returns the entities by key. Points in time are truncated to milliseconds in UTC, as in Kafka Connect's
// Timestamp.
func dump(service *odatatest.Service, set string) map[string]map[string]string {
	entities := map[string]map[string]string{}
	service.Each(set, func(key string, fields map[string]string) {
		for name, text := range fields {
			for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
				if instant, err := time.Parse(layout, text); err == nil {
					fields[name] = instant.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
				}
			}
		}
		entities[key] = fields
	})
	return entities
}

// Integers are converted by their logical names, in JSON and Atom. Digits that JSON cannot contain are rejected in JSON
// only.
func TestLogicalNamesInBodies(t *testing.T) {
	const debezium = "io.debezium.time."
	nodes := nodesOf(column{name: "ID", kind: wit.Int32},
		column{name: "Clock", kind: wit.Int64, logical: debezium + "MicroTime"},
		column{name: "Moment", kind: wit.Int64, logical: debezium + "NanoTimestamp"},
		column{name: "Stamp", kind: wit.String, logical: debezium + "ZonedTimestamp"},
		column{name: "Day", kind: wit.Int32, logical: debezium + "Date"})
	for _, test := range []struct {
		format string
		stamp  string
		nanos  int64
		want   []string // parts of the body; nil means that the row is rejected
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
		run := open(t, odatatest.New(odatatest.Options{}), append(set("00", "AllTypesCopies"),
			"sap.odata.request.format="+test.format)...)
		result, requests := run.writeRow("AllTypesCopies", wit.ValueSlice{}, run.withSchema(nodes,
			connectdata.Struct{int32(1), int64(60_000_000), test.nanos, test.stamp, int32(19753)}))
		if test.want == nil {
			assert.True(t, result.Rejected != nil && len(requests) == 0,
				"%s: expected %s and %d to be rejected, found %+v", test.format, test.stamp, test.nanos, result)
			continue
		}
		require.True(t, result.Written != nil, "%s: %+v", test.format, result.Rejected)
		for _, want := range test.want {
			body := string(requests[0].Body)
			assert.True(t, strings.Contains(body, want), "%s: expected %s in %s", test.format, want, body)
		}
	}
}

// A decimal without a schema is written with all digits, and rejected if it does not fit the property.
func TestDecimalsWithoutASchema(t *testing.T) {
	run := open(t, odatatest.New(odatatest.Options{}), set("00", "AllTypesCopies")...)
	decimal := func(unscaled int64, scale int32) connectdata.Decimal {
		return connectdata.Decimal{Scale: scale, Unscaled: big.NewInt(unscaled)}
	}
	result, requests := run.writeRow("AllTypesCopies", wit.ValueSlice{}, run.schemaless(fields("ID", int64(1), "Amount",
		decimal(123456789012345678, 4), "Precise", decimal(123456789012345678, 4), "Exact", decimal(123, -20))))
	want := `{"ID":1,"Amount":"12345678901234.5678","Precise":12345678901234.5678,"Exact":"12300000000000000000000"}`
	require.True(t, result.Written != nil && string(requests[0].Body) == want,
		"expected %s, found %+v, %+v", want, result.Rejected, requests)
	for field, value := range map[string]connectdata.Decimal{
		"Amount":  decimal(123456789012345678, 5),
		"Long":    decimal(5, 1),
		"Text":    decimal(5, 1),
		"Moment":  decimal(5, 1),
		"Precise": decimal(1, -400),
	} {
		row := run.schemaless(fields("ID", int64(2), field, value))
		result, _ := run.writeRow("AllTypesCopies", wit.ValueSlice{}, row)
		assert.True(t, result.Rejected != nil && strings.Contains(result.Rejected.Message, field),
			"%s: expected a rejection, found %+v", field, result)
	}
}
