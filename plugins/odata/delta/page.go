package delta

import (
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// Page reads one response in delta mode chunk by chunk, and computes the next phase at its end.
type Page struct {
	*feedreader.Reader
	phase           phase // the phase of the offset with which the response was requested
	headers         []wit.Header
	rows            *pageRows
	snapshotPage    *feedreader.PageReader // nil unless the phase is readingSnapshot or comparing
	firstExtraction bool                   // whether the request started ODP's first extraction
	deadLetter      bool                   // whether the response is the document of one row from a dead letter
}

// Base returns the reader.
func (pg *Page) Base() *feedreader.Reader { return pg.Reader }

func (pg *Page) set() Set { return Set{pg.Feed} }

// readsChanges reports whether the page is one of changes since a delta link.
func (pg *Page) readsChanges() bool {
	_, ok := pg.phase.(*readingChanges)
	return ok
}

// continueWith sets the result's next offset, and More if the next request does not wait for a poll. After a restart of
// the connector, changes are read right after the load, because users who run it once expect them.
func (pg *Page) continueWith(result *wit.DecodeResult, next phase) {
	shared := next.shared()
	shared.resumed = pg.phase.shared().resumed
	idling, isIdle := next.(*idle)
	if isIdle && shared.resumed {
		shared.resumed = false
		shared.startedAt = int(pg.Response.ReceivedAt)
		next = &readingChanges{common: idling.common, url: idling.link}
		isIdle = false
	}
	fields := writePhase(next)
	isRejected := pg.Feed.CheckProof(shared.verdict == paging.Unproven) != nil // Set.Next returns the error
	result.Next = &fields
	result.More = !isIdle || isRejected
}

func (pg *Page) loopError(link string) error {
	return &wit.Error{Kind: wit.ErrorData, Message: pg.Label() + ": the service's pages form a loop: the link " +
		link + " was followed before"}
}
