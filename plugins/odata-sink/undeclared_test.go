package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// changingShop is the shop, whose orders get properties while the sink is open.
type changingShop struct{ properties []string }

func (s *changingShop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	metadata := shop
	for _, name := range s.properties {
		metadata = strings.Replace(metadata, `<Property Name="Note"`,
			`<Property Name="`+name+`" Type="Edm.String"/><Property Name="Note"`, 1)
	}
	metadataService(metadata).ServeHTTP(w, r)
}

// expire removes the line from the context that the host removes after a minute.
func (h *harness) expire() { h.context = bytes.TrimPrefix(h.context, []byte(wit.ContextFresh)) }

// writeOrder writes an order with the value "x" in further fields, and returns the body of the request, or the error.
func (h *harness) writeOrder(names ...string) string {
	h.t.Helper()
	value := fields("ID", "a")
	for _, name := range names {
		value = append(value, connectdata.Entry{Key: name, Value: "x"})
	}
	result, requests := h.writeRow("Orders", wit.ValueSlice{}, h.schemaless(value))
	if result.Written == nil {
		return result.Rejected.Message
	}
	return string(requests[0].Body)
}

// A field that occurs first without a property makes the sink read the metadata before it rejects or ignores the field,
// later if the metadata are older than a minute.
func TestMetadataAreReadAgain(t *testing.T) {
	unknown := map[string]string{
		"refuse": "%s: S.Order has no such property",
		"fail":   "%s: S.Order has no such property (sap.odata.unknown.fields = fail)",
		"ignore": `{"ID":"a"}`,
	}
	for mode, text := range unknown {
		t.Run(mode, func(t *testing.T) {
			want := func(name string) string { return strings.Replace(text, "%s", name, 1) }
			service := &changingShop{}
			run := open(t, service, append(set("00", "Orders"), "sap.odata.unknown.fields="+mode)...)
			service.properties = []string{"Color"}
			assert.Equal(t, `{"ID":"a","Color":"x"}`, run.writeOrder("Color"), "declared after the start")
			assert.Equal(t, 2, run.opens, "opens")
			assert.Equal(t, want("Size"), run.writeOrder("Size"), "not declared")
			assert.Equal(t, 3, run.opens, "opens")
			service.properties = append(service.properties, "Size")
			assert.Equal(t, want("Size"), run.writeOrder("Size"), "declared less than a minute ago")
			assert.Equal(t, 3, run.opens, "opens")
			run.expire()
			assert.Equal(t, `{"ID":"a","Size":"x"}`, run.writeOrder("Size"), "declared a minute ago")
			assert.Equal(t, 4, run.opens, "opens")
			service.properties = append(service.properties, "Weight")
			assert.Equal(t, `{"ID":"a","Weight":"x"}`, run.writeOrder("Weight"), "another field in the same minute")
			assert.Equal(t, 5, run.opens, "opens")

			// A property that was removed is noticed when the metadata are read for another field.
			service.properties = []string{"Weight"}
			assert.Equal(t, `{"ID":"a","Size":"x"}`, run.writeOrder("Size"), "removed, but not noticed")
			service.properties = []string{"Weight", "Length"}
			assert.Equal(t, `{"ID":"a","Length":"x"}`, run.writeOrder("Length"), "added")
			assert.Equal(t, want("Size"), run.writeOrder("Size"), "removed")
		})
	}
}

// Fields of nested entities and complex types count; null and control fields do not.
func TestWhichFieldsNeedMetadata(t *testing.T) {
	for name, test := range map[string]struct {
		value connectdata.Map
		opens int
	}{
		"declared":           {fields("ID", "a", "Note", "x"), 1},
		"null":               {fields("ID", "a", "Other", nil), 1},
		"mode of the record": {fields("ID", "a", "RECORDMODE", "N"), 1},
		"entity":             {fields("ID", "a", "Other", "x"), 2},
		"complex type":       {fields("ID", "a", "Place", fields("Other", "x")), 2},
		"nested entity":      {fields("ID", "a", "Items", connectdata.List{fields("Pos", int64(1), "Other", "x")}), 2},
		"several fields":     {fields("ID", "a", "Other", "x", "Place", fields("Other", "x"), "Third", "x"), 2},
		"longest name":       {fields("ID", "a", strings.Repeat("x", 480), "x"), 2},
		"too long a name":    {fields("ID", "a", strings.Repeat("x", 481), "x"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			run := openOrders(t, "sap.odata.delete.records=true", "sap.odata.unknown.fields=ignore")
			for range 2 {
				run.writeRow("Orders", wit.ValueSlice{}, run.schemaless(test.value))
			}
			assert.Equal(t, test.opens, run.opens, "opens")
		})
	}
}

// Maps with data as keys read the metadata for the first fields, then once a minute.
func TestFirstUndeclaredFieldsAreBounded(t *testing.T) {
	run := openOrders(t, "sap.odata.unknown.fields=ignore")
	for i := range 150 {
		assert.Equal(t, `{"ID":"a"}`, run.writeOrder(fmt.Sprintf("F%d", i)), "row")
	}
	assert.Equal(t, 101, run.opens, "opens")
	run.expire()
	run.writeOrder("F200")
	run.writeOrder("F201")
	assert.Equal(t, 102, run.opens, "opens after a minute")
}

// The sink keeps what it has learned of a service when the metadata are read again.
func TestLearnedOutlivesMetadata(t *testing.T) {
	run := openOrders(t)
	state, err := run.p.cache.Read(run.context)
	assert.NoError(t, err)
	state.ServiceCapabilities[0].MaxBatchBytes = 1000
	state.SetCapabilities[0].ReplacesInitialKeys = true
	run.context = state.Pack()
	learned := wit.KnownIn(run.context)
	run.writeOrder("Other")
	assert.Equal(t, 2, run.opens, "opens")
	state, err = run.p.cache.Read(run.context)
	assert.NoError(t, err)
	assert.Equal(t, 1000, state.ServiceCapabilities[0].MaxBatchBytes, "learned size")
	found := wit.KnownIn(run.context)
	assert.True(t, found == learned && learned != "", "expected %q to be known, found %q", learned, found)
}

// If a set cannot be written any more, the task fails as it would at a start.
func TestSetThatWasRemoved(t *testing.T) {
	service := &changingShop{}
	run := openOrders(t)
	run.service = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(strings.Replace(shop, `EntitySet Name="Orders"`, `EntitySet Name="Gone"`, 1)))
	})
	row := wit.Row{Value: run.schemaless(fields("ID", "a", "Other", "x"))}
	_, err := run.callEncode("Orders", []wit.Row{row}, nil, nil)
	assert.Error(t, err, "Entity set Orders isn't in $metadata")
	run.service = service
	_, err = run.callEncode("Orders", []wit.Row{row}, nil, nil)
	assert.NoError(t, err)
}
