package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/entry"

	host "github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// maxSize bounds the guest, in bytes: growth is to be noticed. Most of it is Go's runtime, reflection for the cold
// calls, Java's regular expressions for delta.link.regex with Unicode's tables, math/big with fmt behind it, and half a
// megabyte of time zones.
const maxSize = 17 << 19

// TestGuest builds the guest and reads a feed through it: the same rows as natively.
func TestGuest(t *testing.T) {
	path := guesttest.Build(t, ".")
	info, err := os.Stat(path)
	noError(t, err)
	t.Logf("the guest has %d bytes", info.Size())
	if info.Size() > maxSize {
		t.Errorf("expected a guest of at most %d bytes, found %d", maxSize, info.Size())
	}
	registry := record.NewRegistry()
	m, err := host.New(t.Context(), host.Options{Folders: []string{filepath.Dir(path)}, Registry: registry})
	noError(t, err)
	t.Cleanup(func() { m.Close() })
	b, err := m.Bind("c", wit.ComponentSource, entry.Alias, "")
	if err != nil {
		t.Fatalf("%v (%v)", err, m.Modules())
	}
	t.Cleanup(b.Close)

	s := odatatest.New(odatatest.Options{Switches: odatatest.Switches{PageSize: 300, SkipToken: "offset"}})
	native := whole(t, s, set("00", "Orders")...)
	batch := &record.Batch{Registry: registry}
	err = b.Current().Do(t.Context(), func(i *host.Instance) error { return guestLoad(t, i, s, batch) })
	noError(t, err)
	if len(batch.Rows) != len(native.values) {
		t.Fatalf("expected %d rows, found %d", len(native.values), len(batch.Rows))
	}
	for i := range batch.Rows {
		nodes := registry.Get(batch.Rows[i].Value.Schema).Nodes
		native.schemas[batch.Rows[i].Value.Schema] = nodes
		if found := fmt.Sprint(native.read(batch.Rows[i].Value, batch.Data)); found != native.values[i] {
			t.Fatalf("row %d: expected %s, found %s", i, native.values[i], found)
		}
	}
}

// guestLoad reads the first feed to its end.
func guestLoad(t *testing.T, i *host.Instance, s *odatatest.Service, batch *record.Batch) error {
	ctx, l, given := context.Background(), unopened(t, s), configuration(set("00", "Orders")...)
	opening, err := i.OpenSource(ctx, entry.Component, given, nil, nil)
	if err != nil {
		return err
	}
	if opening, err = i.OpenSource(ctx, entry.Component, given, nil, l.answers(opening.Ask)); err != nil {
		return err
	}
	var offset []wit.Field
	for cause := start; ; cause = onward {
		step, err := i.Next(ctx, opening.Ready.Context, 0, offset, cause, 0)
		if err != nil || step.Fetch == nil {
			return err
		}
		answer := l.exchange(&step.Fetch.Request)
		body := answer.Body
		answer.Body = nil
		page, err := i.Begin(ctx, opening.Ready.Context, 0, step.Fetch.Position, answer)
		if err != nil {
			return err
		}
		for len(body) > 0 {
			n := min(len(body), 64<<10)
			portion, err := i.Decode(ctx, page, "", 200, body[:n], n == len(body), batch)
			if err != nil {
				return err
			}
			body = body[n:]
			if portion.Next != nil {
				offset = *portion.Next
			}
		}
	}
}
