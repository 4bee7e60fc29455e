package delta

import (
	"encoding/base64"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// maxHiddenBytes bounds the packed keys of rows that were hidden from a load. They are stored in the offset.
const maxHiddenBytes = 32 << 10

// KeysUse returns what the host does with the keys of the page that follows an offset. The host remembers the keys of a
// first load. If the load's links count rows, all keys are read once more and compared with them, so that the rows need
// not be delivered again.
func (s Set) KeysUse(offset []wit.OffsetEntry) wit.KeysUse {
	current, err := readPhase(offset)
	if err != nil || s.ODP != nil || !s.Paging.CanUseKeyset() {
		return wit.KeysUse{Ignored: wit.Set}
	}
	switch current := current.(type) {
	case nil:
		return wit.KeysUse{Remembered: wit.Set}
	case *loading:
		if current.snapshot == 0 {
			return wit.KeysUse{Remembered: wit.Set}
		}
	case *readingSnapshot:
		if keys, err := s.KeysOnly(); err == nil && !current.onDemand && !current.started {
			next := &comparing{readingSnapshot{common: current.common, link: current.link,
				position: keys.Paging.First(int64(current.snapshot)).Fields()}}
			next.snapshot = 0 // a comparison delivers no rows, so it needs no markers
			fields := writePhase(next)
			return wit.KeysUse{Compared: &fields}
		}
	}
	return wit.KeysUse{Ignored: wit.Set}
}

// Compared returns the offset after a comparison that has found all keys of the load. hiddenKeys are the keys of rows
// that were hidden from the load. It returns nil if the order of the keys does not prove that there are no others.
func (s Set) Compared(offset []wit.OffsetEntry, hiddenKeys [][]byte) *[]wit.OffsetEntry {
	current, err := readPhase(offset)
	comparison, ok := current.(*comparing)
	if err != nil || !ok {
		return nil
	}
	position, err := paging.Read(comparison.position)
	if err != nil || position.Verdict() != paging.ProvenByKey {
		return nil
	}
	var packed []string
	for _, key := range hiddenKeys {
		packed = append(packed, base64.RawURLEncoding.EncodeToString(key))
	}
	hidden := &readingHidden{common: comparison.common, link: comparison.link, keys: strings.Join(packed, ","),
		rowsRead: int(feedreader.Progress(comparison.position).Read) - len(hiddenKeys)}
	if len(hidden.keys) > maxHiddenBytes {
		return nil
	}
	_, endedAt := position.Done()
	fields := writePhase(s.afterHidden(hidden, endedAt))
	return &fields
}

// nextKey returns the key of the next row to read, and the others. It is nil for an offset that was changed.
func (r *readingHidden) nextKey() (key []byte, others string) {
	first, others, _ := strings.Cut(r.keys, ",")
	key, _ = base64.RawURLEncoding.DecodeString(first)
	return key, others
}

// afterHidden returns the phase that reads the next hidden row. After the last one, it logs the end of the load and
// returns the phase that reads the changes.
func (s Set) afterHidden(hidden *readingHidden, endedAt int64) phase {
	if hidden.keys != "" {
		return hidden
	}
	changes := &readingChanges{common: hidden.common, url: hidden.link}
	changes.verdict = paging.ProvenByKey
	s.logLoaded(&changes.common, hidden.rowsRead, endedAt)
	changes.startedAt = int(endedAt)
	return changes
}

// decodeKeys decodes a page of the comparison. The host does not deliver its rows.
func (pg *Page) decodeKeys(current *comparing, tag string, status uint16, chunk []byte,
	last bool) (result wit.DecodeResult, ended bool, err error) {
	result, ended, err = pg.snapshotPage.Decode(tag, status, chunk, last)
	pg.CopyLearned(pg.snapshotPage.Reader)
	if err != nil || !ended {
		return result, ended, err
	}
	position, err := paging.Read(*result.Next)
	if err != nil {
		return result, true, err
	}
	next := *current
	next.position = *result.Next
	pg.continueWith(&result, &next)
	done, _ := position.Done()
	result.More = !done
	return result, true, nil
}

// afterHiddenRow returns the phase after the response to a request for one hidden row. If it is not found, the set is
// read again. A row that cannot be decoded is requested, too, since its key is not known from the load; it is reported
// once more.
func (pg *Page) afterHiddenRow(hidden *readingHidden) phase {
	key, others := hidden.nextKey()
	isUndecoded := len(pg.rows.firstKey) == 0 && len(pg.rows.deletedKeys) == 0
	isRequestedRow := pg.Out.Page.Rows == 1 && (isUndecoded || string(pg.rows.firstKey) == string(key))
	if !isRequestedRow || pg.Out.Page.Next.Href != "" {
		return pg.readSetAgain(hidden, "the service does not select a row by its key")
	}
	next := *hidden
	next.keys = others
	next.rowsRead++
	return pg.set().afterHidden(&next, pg.Response.ReceivedAt)
}

// readSetAgain logs the reason and returns the snapshot that follows if rows that were hidden cannot be read by key.
func (pg *Page) readSetAgain(hidden *readingHidden, reason string) phase {
	sdk.Log(wit.LevelInfo, pg.Label()+": "+reason+": rows that were hidden from the first load cannot be "+
		"read by key, so the set is read again")
	return pg.set().startSnapshot(hidden.common, hidden.link, pg.Response.ReceivedAt)
}
