package source

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"

	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

const (
	keyBytes        = 9       // of a key in memory: its digest, and whether it was found
	maxUnknownKeys  = 1_000   // bounds the unknown keys that a comparison finds
	maxUnknownBytes = 1 << 20 // bounds the total size of these keys
)

// keySet holds digests of the keys of a first load. A comparison reads the keys of all rows once more, without sending
// rows: if it finds each remembered key, the rows of the unknown keys are all that the load has missed.
//
// Invariants: digests contains the digest of the key of each row that this run has sent since the load began, and no
// other. While keys are compared, digests are sorted and unique. Nothing is stored: the feed's position remains the end
// of the load.
type keySet struct {
	use      keyUse        // of the current page
	quota    *memory.Quota // of the worker
	reserved int           // bytes of the quota
	digests  []uint64
	// pageStart is the number of digests before the current page.
	pageStart int
	// offset is where the comparison continues; nil means that none has begun.
	offset       []wit.OffsetEntry
	isFound      []bool // by the index of the digest
	foundCount   int    // number of digests whose key was found
	comparedRows int    // number of rows that the comparison has read
	unknown      map[string]bool
	unknownBytes int
}

type keyUse int

const (
	keysIgnored keyUse = iota
	keysRemembered
	keysCompared
)

// isComparing reports whether a comparison has begun, comparesPage whether the current page belongs to it.
func (k *keySet) isComparing() bool  { return k != nil && k.offset != nil }
func (k *keySet) comparesPage() bool { return k != nil && k.use == keysCompared }

// remember adds the digests of the keys of rows. It fails if a row has no key, or the worker has no memory for them.
func (k *keySet) remember(batch *record.Batch) error {
	k.digests = slices.Grow(k.digests, len(batch.Rows))
	if more := cap(k.digests)*keyBytes - k.reserved; more > 0 && !k.quota.TryReserve(more) {
		return errors.New("the worker's memory for keys of first loads and for samples, a 32nd of its limit, is " +
			"used up")
	} else if more > 0 {
		k.reserved += more
	}
	for i := range batch.Rows {
		key := batch.Rows[i].Key
		if key.Encoding == wit.Absent {
			return errors.New("a row has no key")
		}
		k.digests = append(k.digests, maphash.Bytes(contentSeed, batch.Bytes(key)))
	}
	return nil
}

// begin ends the remembering and begins the comparison at an offset.
func (k *keySet) begin(offset []wit.OffsetEntry) {
	slices.Sort(k.digests)
	k.digests = slices.Compact(k.digests)
	k.use = keysCompared
	k.offset = offset
	k.isFound = make([]bool, len(k.digests))
	k.unknown = map[string]bool{}
}

// compare looks up the key of a row. It fails if too many keys are unknown.
func (k *keySet) compare(key []byte) error {
	k.comparedRows++
	if i, ok := slices.BinarySearch(k.digests, maphash.Bytes(contentSeed, key)); ok {
		if !k.isFound[i] {
			k.isFound[i] = true
			k.foundCount++
		}
		return nil
	}
	if k.unknown[string(key)] {
		return nil
	}
	k.unknown[string(key)] = true
	k.unknownBytes += len(key)
	if len(k.unknown) > maxUnknownKeys || k.unknownBytes > maxUnknownBytes {
		return fmt.Errorf("the load lacks rows with more than %d keys, or %d bytes of keys",
			maxUnknownKeys, maxUnknownBytes)
	}
	return nil
}

// unknownKeys returns the keys that were not remembered, after the last page. It fails if a remembered key was not
// found.
func (k *keySet) unknownKeys() (keys [][]byte, err error) {
	if missing := len(k.digests) - k.foundCount; missing > 0 {
		return nil, fmt.Errorf("%d rows of the load were deleted since they were read", missing)
	}
	for _, key := range slices.Sorted(maps.Keys(k.unknown)) {
		keys = append(keys, []byte(key))
	}
	return keys, nil
}

// nextAction gets the next action from the plugin. While keys are compared, it requests the next page of the
// comparison, unless a notification or a snapshot is read in between.
func (f *feed) nextAction(ctx context.Context, r Reader, cause wit.PollReason, now int64) (wit.NextAction, error) {
	offset := f.position.fields
	isExtra := cause.Trigger != nil || cause.Snapshot != nil
	if !isExtra {
		offset = f.chooseKeyUse(ctx, r)
	} else if f.keys != nil {
		f.keys.use = keysIgnored
	}
	action, err := r.Next(ctx, f.opened.context, f.index, offset, cause, now)
	hasPosition := action.Fetch != nil && action.Fetch.Position != nil
	if err == nil && isExtra && hasPosition {
		f.forgetKeys(errors.New("other rows are read first"))
	}
	if err == nil && f.keys.comparesPage() && !hasPosition {
		err = errors.New("the plugin requests no page")
	}
	return action, err
}

// chooseKeyUse sets the plugin's use of the keys of the next page, and returns the offset to request the page from.
func (f *feed) chooseKeyUse(ctx context.Context, r Reader) (offset []wit.OffsetEntry) {
	if f.keys.isComparing() {
		f.keys.use = keysCompared
		return f.keys.offset
	}
	if f.atBeginning && len(f.position.fields) == 0 { // the first load begins, perhaps again
		f.dropKeys()
		f.keys = &keySet{quota: f.task.o.Spare}
	}
	if f.keys == nil {
		return f.position.fields
	}
	use, err := r.Keys(ctx, f.opened.context, f.index, f.position.fields)
	switch {
	case err != nil:
		f.log.Warn("the plugin does not report whether the keys of the first load are compared", "error", err)
		f.dropKeys()
	case use.Remembered != nil:
		f.keys.use = keysRemembered
		f.keys.pageStart = len(f.keys.digests)
	case use.Compared != nil:
		f.keys.begin(*use.Compared)
		return f.keys.offset
	default:
		f.dropKeys()
	}
	return f.position.fields
}

// forgetKeys forgets the keys, and logs it if that ends a comparison: reading continues from the feed's position.
func (f *feed) forgetKeys(reason error) {
	if f.keys.isComparing() {
		f.log.Info("the keys of the first load cannot be compared: its rows are read and delivered again",
			"reason", reason)
	}
	f.dropKeys()
}

// dropKeys ends the use of the keys and releases their memory.
func (f *feed) dropKeys() {
	if f.keys != nil {
		f.keys.quota.Release(f.keys.reserved)
		f.keys = nil
	}
}

// finishCompared ends a page of the comparison. After the last one, the plugin decides where to continue.
func (p *page) finishCompared(ctx context.Context) error {
	feed := p.feed
	keys := feed.keys
	next := *p.fetch.Position
	if p.end.Next != nil {
		next = *p.end.Next
	}
	if p.end.More {
		keys.offset = next
		return nil
	}
	unknown, err := keys.unknownKeys()
	if err != nil {
		return err
	}
	resumeOffset, err := p.reader.Compared(ctx, feed.opened.context, feed.index, next, unknown)
	if err != nil {
		return err
	}
	if resumeOffset == nil {
		return errors.New("nothing proves that all keys were read again")
	}
	if name, ok := reservedField(*resumeOffset); ok {
		return fmt.Errorf("the plugin's offset has a field %s, which is the host's name", name)
	}
	p.end.Next = resumeOffset
	p.end.More = true
	if err := p.finish(ctx); err != nil {
		return err
	}
	feed.log.Info("the keys were read again, and show which rows the first load has missed: no row is delivered again",
		"compared", keys.comparedRows, "missed", len(unknown))
	feed.dropKeys()
	return nil
}
