package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	host "github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// maxSize bounds the guest, in bytes: growth is to be noticed. Most of it is Go's runtime, reflection for the cold
// calls, and math/big with fmt behind it.
const maxSize = 6 << 20

// TestGuest builds the guest and writes rows through it.
func TestGuest(t *testing.T) {
	path := guesttest.Build(t, ".")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the guest has %d bytes", info.Size())
	if info.Size() > maxSize {
		t.Errorf("expected a guest of at most %d bytes, found %d", maxSize, info.Size())
	}
	registry := record.NewRegistry()
	m, err := host.New(t.Context(), host.Options{Folders: []string{filepath.Dir(path)}, Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	b, err := m.Bind("c", wit.ComponentSink, Alias, "")
	if err != nil {
		t.Fatalf("%v (%v)", err, m.Modules())
	}
	t.Cleanup(b.Close)
	schema, err := registry.Intern(detail)
	if err != nil {
		t.Fatal(err)
	}
	batch := &record.Batch{Registry: registry, Topics: []string{"Order_DetailCopies"}}
	const rows = 100
	for i := range uint32(rows) {
		start := uint32(len(batch.Data))
		if batch.Data, err = datum.Append(batch.Data, detail, 0, detailOf(1, int32(i))); err != nil {
			t.Fatal(err)
		}
		batch.Rows = append(batch.Rows, wit.Row{Origin: i, Partition: 0, Offset: int64(i),
			Value: wit.Datum{Form: wit.Structured, Schema: schema.ID, Start: start,
				Size: uint32(len(batch.Data)) - start}})
	}
	s := service.New(service.Options{})
	err = b.Current().Do(t.Context(), func(i *host.Instance) error { return guestWrite(t, i, s, batch) })
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Count("Order_DetailCopies"); n != rows {
		t.Errorf("expected %d entities, found %d", rows, n)
	}
}

func guestWrite(t *testing.T, i *host.Instance, s *service.Service, batch *record.Batch) error {
	w := &writing{t: t, service: s}
	given := configuration(set("00", "Order_DetailCopies")...)
	asked, err := i.OpenSink(t.Context(), Component, given, nil, nil)
	if err != nil {
		return err
	}
	answers := []wit.Response{w.exchange(&asked.Ask.Requests[0])}
	opened, err := i.OpenSink(t.Context(), Component, given, nil, answers)
	if err != nil {
		return err
	}
	origins := record.Origins{Topics: batch.Topics, IDs: make([]wit.RecordID, len(batch.Rows))}
	out, err := i.Encode(t.Context(), opened.Ready.Context, batch, origins, nil)
	if err != nil {
		return err
	}
	for _, d := range out.Ready {
		settled, err := i.Settle(t.Context(), opened.Ready.Context, d.Memo, d.Rows, w.exchange(&d.Request))
		if err != nil {
			return err
		}
		for n, v := range settled.Verdicts {
			if v.Written == nil {
				t.Errorf("row %d: found %+v", d.Rows[n], v)
			}
		}
		for message, want := range map[string]int{"": 0, `{"code":"A/1","severity":"info","details":[]}`: 0,
			`{"code":"A/1","severity":"success","details":[{"severity": "Warning"}]}`: 1,
			`<notification><code>A/1</code><severity>error</severity></notification>`: 1} {
			response := wit.Response{Status: 201, Headers: []wit.Header{{Name: "SAP-Message", Value: message}}}
			settled, err := i.Settle(t.Context(), opened.Ready.Context, memo(insert, "/x"), d.Rows[:1], response)
			if err != nil || settled.Verdicts[0].Written == nil || i.Warnings() != want {
				t.Errorf("%s: expected %d warnings beside a success, found %d, %+v (%v)", message, want, i.Warnings(), settled, err)
			}
		}
	}
	return nil
}
