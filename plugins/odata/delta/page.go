package delta

import (
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// Page reads one response in delta mode chunk by chunk, and computes the next phase at its end.
type Page struct {
	*feedreader.Reader
	// phase is the phase of the offset with which the response was requested.
	phase        phase
	headers      []wit.Header
	rows         *pageRows
	snapshotPage *feedreader.PageReader // nil unless the phase is readingSnapshot or comparing
	// firstExtraction means that the request started ODP's first extraction.
	firstExtraction bool
	// deadLetter means that the response is the document of one row from a dead letter.
	deadLetter bool
}

// Base returns the reader.
func (pg *Page) Base() *feedreader.Reader { return pg.Reader }

func (pg *Page) set() Set { return Set{pg.Feed} }

// readsChanges reports whether the page is one of changes since a delta link.
func (pg *Page) readsChanges() bool {
	_, ok := pg.phase.(*readingChanges)
	return ok
}

// continueWith ends a page. After a restart of the connector, changes are read right after the load, because users who
// run it once expect them.
func (pg *Page) continueWith(result *wit.DecodeResult, next phase) {
	common := next.shared()
	common.resumed = pg.phase.shared().resumed
	waiting, waits := next.(*idle)
	if waits && common.resumed {
		common.resumed = false
		common.startedAt = int(pg.Response.ReceivedAt)
		next = &readingChanges{common: waiting.common, url: waiting.link}
		waits = false
	}
	fields := writePhase(next)
	isRejected := pg.Feed.CheckProof(common.verdict == paging.Unproven) != nil // by the next request
	result.Next = &fields
	result.More = !waits || isRejected
}

func (pg *Page) loopError(link string) error {
	return &wit.Error{Kind: wit.ErrorData, Message: pg.Label() + ": the service's pages form a loop: the link " +
		link + " was followed before"}
}
