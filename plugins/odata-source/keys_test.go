package main

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/wit"
)

// comparison compares the keys of a first load as the host does.
type comparison struct {
	*follower
	// received holds the keys of the rows of the load, and whether the comparison has found them.
	received map[string]bool
	unknown  map[string]bool
	// position is where the comparison continues. Nil means that none is in progress.
	position []wit.OffsetEntry
	// last is the offset after the last page of the comparison.
	last []wit.OffsetEntry
	// ended means that the keys of all rows were compared, and the plugin accepts the result.
	ended bool
}

// compare reads a first load up to its end, or up to the changes after it.
func compare(t *testing.T, f *follower) *comparison {
	t.Helper()
	c := &comparison{follower: f, received: map[string]bool{}, unknown: map[string]bool{}}
	isRemembering := true
	f.onRow = func(row wit.Row, data []byte) {
		key := string(feedreader.KeyOf(&row, data))
		_, ok := c.received[key]
		switch {
		case c.position == nil:
			c.received[key] = false
			f.addRecord(row, data)
		case ok:
			c.received[key] = true
		default:
			c.unknown[key] = true
		}
	}
	reason := start
	for range 5000 {
		offset := f.stored
		if isRemembering && c.position == nil {
			use := f.p.Keys(f.opened.Context, 0, offset)
			isRemembering = use.Ignored == nil
			if use.Compared != nil {
				c.position = *use.Compared
			}
		}
		if c.position != nil {
			offset = c.position
			require.NoError(t, f.p.CheckOffset(f.opened.Feeds[0].Partition, offset))
		}
		step, err := f.p.Next(f.opened.Context, 0, offset, reason, f.now)
		require.NoError(t, err)
		if step.Fetch == nil {
			return c
		}
		reason = onward
		end, err := f.reader.page(0, step.Fetch)
		require.NoError(t, err)
		switch {
		case c.position == nil:
			f.stored = *end.Next
			if !end.More {
				return c
			}
		case end.More:
			c.position = *end.Next
		default:
			c.position = nil
			c.last = *end.Next
			isRemembering = false
			if next := c.result(c.last); next != nil {
				f.stored = *next
				c.ended = true
			}
		}
	}
	t.Fatal("the feed does not end")
	return nil
}

// result returns the offset after a comparison at whose end offset is stored. Nil means that a key is missing, or that
// the plugin rejects the unknown keys.
func (c *comparison) result(offset []wit.OffsetEntry) *[]wit.OffsetEntry {
	for _, isFound := range c.received {
		if !isFound {
			return nil
		}
	}
	var unknown [][]byte
	for key := range c.unknown {
		unknown = append(unknown, []byte(key))
	}
	return c.p.Compared(c.opened.Context, 0, offset, unknown)
}

// The keys of rows that were hidden are in the offset, up to 32 KiB of them. More rows are read again.
func TestHiddenKeysAreBounded(t *testing.T) {
	switches := odatatest.Switches{PageSize: 10, SkipToken: "offset"}
	service := odatatest.New(odatatest.Options{Rows: 95, Switches: switches})
	c := compare(t, newFollower(t, service, deltaSet("Orders")...))
	for _, size := range []int{24 << 10, 24<<10 + 1} {
		next := c.p.Compared(c.opened.Context, 0, c.last, [][]byte{make([]byte, size)})
		assert.True(t, (size == 24<<10) == (next != nil), "%d bytes: found the offset %v", size, next)
	}
	if next := c.p.Compared(c.opened.Context, 0, c.stored, nil); next != nil {
		t.Errorf("expected no offset after another page than one of a comparison, found %v", *next)
	}
}

// Other loads are not compared: loads of ODP services, in full mode, and those that replace a lost token.
func TestKeysOfOtherLoadsAreIgnored(t *testing.T) {
	lost := []wit.OffsetEntry{wit.StringEntry("phase", "load"), wit.StringEntry("url", "/s/A"),
		wit.IntegerEntry("snapshot", 7)}
	for name, c := range map[string]struct {
		settings   []string
		offset     []wit.OffsetEntry
		remembered bool
	}{
		"first load":  {settings: deltaSet("Orders"), remembered: true},
		"full":        {settings: setOf(sapNorthwind, "Orders")},
		"ODP":         {settings: odpSet("Orders")},
		"lost token":  {settings: deltaSet("Orders"), offset: lost},
		"not a phase": {settings: deltaSet("Orders"), offset: []wit.OffsetEntry{wit.StringEntry("phase", "x")}},
	} {
		f := newFollower(t, odatatest.New(odatatest.Options{Rows: 35}), c.settings...)
		use := f.p.Keys(f.opened.Context, 0, c.offset)
		assert.True(t, (use.Remembered != nil) == c.remembered && use.Compared == nil,
			"%s: expected remembered keys: %v, found %+v", name, c.remembered, use)
	}
}
