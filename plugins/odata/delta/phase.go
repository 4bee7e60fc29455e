package delta

import (
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// phase is a state of delta mode, stored in the offset: loading, then idle and readingChanges in turns. The others are
// for ODP services, and for snapshots.
type phase interface {
	name() string   // as stored
	target() string // path and query of the next request, or of the delta link
	shared() *common
	fields() []paging.OffsetField // point to the fields of the phase
}

// common holds the fields that all phases share.
type common struct {
	startedAt int // time of the first request for the load or the changes, in milliseconds since 1970
	// rewriteSettings identifies the settings with which the delta link was rewritten or created.
	rewriteSettings string
	// lostTokens counts lost tokens since the last valid one; in a snapshot on demand, its failures.
	lostTokens int
	// resumed means that the connector was restarted during the phase: changes are read right after it.
	resumed bool
	// snapshot is the number of a load that replaces a lost token or was requested by a user. Zero means another load.
	snapshot         int
	endMarkerPending int    // the number of a snapshot whose end no row has marked yet
	verdict          string // how the last load ended: the name of a proof, or unproven
}

// provenByDelta is the verdict of a load that the service ended with a delta link, and whose links do not count rows.
const provenByDelta = "delta"

func (c *common) shared() *common { return c }

// subscribing prepares the load of an ODP service. No phase after stepExtract requests the extraction again, because
// each request starts a job in the service (RATIONALE.md P13).
type subscribing struct {
	common
	step       string
	url        string
	terminated bool // another reader's subscription was ended
}

// Steps of subscribing, as stored.
const (
	stepCheckSubscribed = "ask"
	stepTerminate       = "end"
	// stepExtract requests the first extraction. It is stored before the request.
	stepExtract         = "open"
	stepAwaitExtraction = "wait" // it was requested before, with unknown result
)

// loading reads the set with change tracking, by next links.
type loading struct {
	common
	url            string
	continued      bool // not the first page
	applied        bool // the service confirmed change tracking
	rowsRead       int
	totalCount     int    // the service's count, if it exceeds the first page. Zero means that nothing is known.
	isEarlyLink    bool   // a page with a next link had a delta link, too, so that a delta link shows no end
	linksCountRows bool   // rows are missing, or deleted rows may have hidden others: a snapshot follows
	lastKey        string // set if the link may contain either the last key or a count
	followed       paging.LoopDetector
}

// readingSnapshot reads the set like full mode, without change tracking. The changes since link follow. It is used
// after a load whose links count rows, after an ODP extraction whose rows were lost, and on a user's request.
type readingSnapshot struct {
	common
	link     string            // delta link of the changes that follow
	onDemand bool              // requested by a user, so it may be abandoned
	started  bool              // a page was read
	position []wit.OffsetEntry // of package paging
}

// comparing reads the keys of the set after a first load whose links count rows, in place of a snapshot. The host
// compares them with the keys of the load; no row is emitted.
type comparing struct{ readingSnapshot }

// readingHidden reads the rows that were hidden from a first load, one by one, by the keys that the comparison found.
// The changes since link follow.
type readingHidden struct {
	common
	link     string
	keys     string // the encoded keys of these rows, in Base64, separated by commas
	rowsRead int    // the number of rows of the load so far
}

// snapshotOf returns the snapshot or comparison that a phase consists of. Nil means that it is another phase.
func snapshotOf(current phase) *readingSnapshot {
	switch current := current.(type) {
	case *readingSnapshot:
		return current
	case *comparing:
		return &current.readingSnapshot
	}
	return nil
}

// readingChanges reads changes from a delta link. Its first request confirms everything before it (RATIONALE.md P1).
type readingChanges struct {
	common
	url       string
	link      string // the delta link if url is the URL of a further page or of a prepared response
	continued bool
	rowsRead  int
	// The changes are requested again once if the service does not finish preparing (202), and once if a page is lost.
	retriedAfter202      bool
	retriedAfterLostPage bool
	unnotified           bool // no notification preceded the request
	followed             paging.LoopDetector
}

// idle waits for the next poll; link is the delta link.
type idle struct {
	common
	link   string
	readAt int // time of the last page in milliseconds since 1970
}

// findingDeltaLink reads the delta links that an ODP service keeps.
type findingDeltaLink struct {
	common
	reason string // one of the constants below
	url    string
	link   string // the lost delta link, or the previous one
	deltaLinkRow
	followed paging.LoopDetector
}

// Reasons for findingDeltaLink, as stored.
const (
	reasonLoaded  = "loaded"  // the load ended without a delta link
	reasonChanged = "changed" // the changes ended without a delta link
	reasonLost    = "lost"    // the service no longer knows the delta token
	reasonOpened  = "opened"  // the response of the first extraction was lost
)

// deltaLinkRow is a valid delta link of an ODP service.
type deltaLinkRow struct {
	token       string
	created     string // time, see comparableTime
	initialLoad bool   // the link is of the first extraction
}
