package delta

import (
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/wit"
)

// Page reads a response in delta mode.
type Page struct {
	*feedreader.Reader
	phase   phase
	headers []wit.Header
	rows    *pageRows
	// snapshotPage reads a page of a snapshot; nil in other phases.
	snapshotPage *feedreader.PageReader
	// firstExtraction reports that the response answers the request for ODP's first extraction.
	firstExtraction bool
	// deadLetter reports that the response is the document of a dead letter.
	deadLetter bool
}

// Base returns the reader.
func (pg *Page) Base() *feedreader.Reader { return pg.Reader }

func (pg *Page) set() Set { return Set{pg.Feed} }

func (pg *Page) flushMarkers(result *wit.DecodeResult, next phase) {
	_, loads := next.(*loading)
	_, rescans := next.(*readingSnapshot)
	result.Rows, result.Data = pg.rows.markers.Flush(result.Rows, result.Data, !loads && !rescans)
	pg.AddSchemas(result)
}

// continueWith ends a page. After a restart of the connector, changes are read right after the load, because users who
// run it once expect them.
func (pg *Page) continueWith(result *wit.DecodeResult, next phase) {
	c := next.shared()
	c.resumed = pg.phase.shared().resumed
	rest, rests := next.(*idle)
	if rests && c.resumed {
		c.resumed, c.startedAt = false, int(pg.Response.ReceivedAt)
		next, rests = &readingChanges{common: rest.common, url: rest.link}, false
	}
	fields := writePhase(next)
	result.Next, result.More = &fields, !rests
}

func (pg *Page) loopError(link string) error {
	return &wit.Error{Kind: wit.ErrorData, Message: pg.Label() + ": the service's pages form a loop: the link " +
		link + " was followed before"}
}

type pageRows struct {
	// merged holds rows and deleted entities in the order of the page.
	merged               []wit.Row
	rowErrors            []wit.RowError
	rowKeys, deletedKeys map[uint64]bool
	firstKey, lastKey    []byte
	rowIndex             uint32
	rereads              *rereads
	markers              *feedreader.SnapshotMarkers
}

func newPageRows() *pageRows {
	return &pageRows{rereads: &rereads{}, markers: &feedreader.SnapshotMarkers{}}
}

// rereads tracks entities that are read again by key. The page ends when none is left.
type rereads struct {
	pending    map[string]*rereadEntity
	lastNumber int
	out        decode.Output
}

func (r *rereads) waiting() bool { return len(r.pending) > 0 }

// rereadEntity is an entity that occurs as a row and as deleted; the service has to decide (P22).
type rereadEntity struct {
	keys              [][]byte
	predicate, target string
	// when is the deletion time in milliseconds. Zero means unknown.
	when    int64
	decoder decode.Decoder
	rows    []wit.Row
	data    []byte
	body    []byte
	// viaFilter: requested by a filter instead of its URL. outsideFilter: it no longer matches the filter.
	entities                           int
	viaFilter, outsideFilter, complete bool
}
