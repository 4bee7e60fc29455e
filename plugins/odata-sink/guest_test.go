package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	host "github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// maxSize bounds the guest in bytes. Most of it is Go's runtime, reflection, math/big and fmt.
const maxSize = 6 << 20

// TestGuest builds the guest and writes rows through it.
func TestGuest(t *testing.T) {
	path := guesttest.Build(t, ".")
	info, err := os.Stat(path)
	require.NoError(t, err)
	t.Logf("the guest has %d bytes", info.Size())
	if info.Size() > maxSize {
		t.Errorf("expected a guest of at most %d bytes, found %d", maxSize, info.Size())
	}
	registry := record.NewRegistry()
	binding := bindSink(t, registry)
	const rows = 100
	batch := structBatch(t, registry, "Order_DetailCopies", detail, rows,
		func(i uint32) connectdata.Struct { return detailOf(1, int32(i)) })
	service := odatatest.New(odatatest.Options{})
	require.NoError(t, binding.Current().Do(t.Context(),
		func(instance *host.Instance) error { return writeBatch(t, instance, service, batch) }))
	assert.Equal(t, rows, service.Count("Order_DetailCopies"), "entities")
	require.NoError(t, binding.Current().Do(t.Context(),
		func(instance *host.Instance) error { return writeLargeRecord(t, instance) }))
}

// writeLargeRecord writes a record of 20 MB between two others, and then a small one.
func writeLargeRecord(t *testing.T, instance *host.Instance) error {
	const size = 20 << 20
	run := &harness{t: t, service: shopService()}
	context, err := openIn(t.Context(), instance, run, set("00", "Orders")...)
	if err != nil {
		return err
	}
	batch := &record.Batch{Registry: record.NewRegistry(), Topics: []string{"Orders"}}
	for n, note := range []string{"a", strings.Repeat("x", size), "b"} {
		value := run.schemaless(fields("ID", string(rune('a'+n)), "Note", note))
		batch.Rows = append(batch.Rows, wit.Row{RowIndex: uint32(n), Offset: int64(n), Value: value})
	}
	batch.Data = run.data
	origins := record.RecordIDs{Topics: batch.Topics, IDs: make([]wit.RecordID, len(batch.Rows))}
	out, err := instance.Encode(t.Context(), context, batch, origins, nil)
	if err != nil {
		return err
	}
	isComplete := false
	for _, delivery := range out.Ready {
		result, err := instance.HandleResponse(t.Context(), context, delivery.State, delivery.Rows,
			wit.Response{Status: 502})
		assert.True(t, err == nil && len(result.Results) == len(delivery.Rows),
			"expected results of %d rows, found %+v (%v)", len(delivery.Rows), result, err)
		isComplete = isComplete || (delivery.Rows[0] == 1 && len(delivery.Rows) == 1 &&
			bytes.Count(delivery.Request.Body, []byte("x")) >= size)
	}
	assert.True(t, len(out.Rejected) == 0 && isComplete,
		"expected the large record to be sent complete and alone, found %d deliveries, rejected %v", len(out.Ready),
		out.Rejected)
	small := &record.Batch{Registry: batch.Registry, Topics: batch.Topics, Rows: batch.Rows[:1],
		Data: batch.Data[:batch.Rows[0].Value.Size]}
	for range 3 { // memory that the large record used must not prevent it
		origins.IDs = origins.IDs[:1]
		out, err = instance.Encode(t.Context(), context, small, origins, nil)
		assert.True(t, err == nil && len(out.Ready) == 1,
			"expected a small record to be sent after a large one, found %+v (%v)", out, err)
	}
	return nil
}

func writeBatch(t *testing.T, instance *host.Instance, service *odatatest.Service, batch *record.Batch) error {
	run := &harness{t: t, service: service}
	context, err := openIn(t.Context(), instance, run, set("00", "Order_DetailCopies")...)
	if err != nil {
		return err
	}
	origins := record.RecordIDs{Topics: batch.Topics, IDs: make([]wit.RecordID, len(batch.Rows))}
	out, err := instance.Encode(t.Context(), context, batch, origins, nil)
	if err != nil {
		return err
	}
	for _, delivery := range out.Ready {
		result, err := instance.HandleResponse(t.Context(), context, delivery.State, delivery.Rows,
			run.exchange(&delivery.Request))
		if err != nil {
			return err
		}
		for n, rowResult := range result.Results {
			if rowResult.Written == nil {
				t.Errorf("row %d: found %+v", delivery.Rows[n], rowResult)
			}
		}
		for message, want := range map[string]int{"": 0, `{"code":"A/1","severity":"info","details":[]}`: 0,
			`{"code":"A/1","severity":"success","details":[{"severity": "Warning"}]}`: 1,
			`<notification><code>A/1</code><severity>error</severity></notification>`: 1} {
			response := wit.Response{Status: 201, Headers: []wit.Header{{Name: "SAP-Message", Value: message}}}
			state := requests.AppendStateHead(nil, 0, 0, 1, capabilities.Service{}, false)
			state = (&requests.Target{Set: &entityset.EntitySet{}}).AppendState(state, nil, true)
			result, err := instance.HandleResponse(t.Context(), context, state, delivery.Rows[:1], response)
			if err != nil || result.Results[0].Written == nil || instance.Warnings() != want {
				t.Errorf("%s: expected %d warnings and a success, found %d, %+v (%v)", message, want,
					instance.Warnings(),
					result, err)
			}
		}
	}
	return nil
}

// A task logs once for each set which properties it leaves out.
func TestOmittedPropertiesAreLogged(t *testing.T) {
	var log bytes.Buffer
	m, err := host.New(t.Context(), host.Options{Folders: []string{filepath.Dir(guesttest.Build(t,
		"."))},
		Registry: record.NewRegistry(), Logger: slog.New(slog.NewTextHandler(&log, nil)), CacheDir: guesttest.Code(t)})
	require.NoError(t, err)
	defer m.Close()
	bound, err := m.Bind("c", wit.ComponentSink, sinkconfig.V2.Alias, "")
	require.NoError(t, err)
	defer bound.Close()
	run := &harness{t: t, service: odatatest.New(odatatest.Options{})}
	const suppliers = "entity set Suppliers of " + gateway + ": requests do not contain these properties, " +
		"which $metadata marks as set by the service: "
	for mode, want := range map[string]string{"insert": suppliers + "Version (inserts)",
		"merge": suppliers + "Version (updates)", "upsert": suppliers + "Version (inserts), Version (updates)"} {
		log.Reset()
		require.NoError(t, bound.Current().Do(t.Context(), func(instance *host.Instance) error {
			_, err := openIn(t.Context(), instance, run,
				append(append(set("00", "Suppliers"), set("01", "OrderCopies")...),
					"sap.odata.operation.mode="+mode)...)
			return err
		}))
		assert.True(t, strings.Count(log.String(), want+`"`) == 1 && strings.Count(log.String(), "level=WARN") == 1,
			"%s: expected one warning %q, found %s", mode, want, &log)
	}
}
