package delta

import (
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// phase is a state of delta mode: the plugin's part of a stored offset.
type phase interface {
	name() string
	target() string
	shared() *common
	fields() []paging.OffsetField
}

// common holds the fields that all phases share.
type common struct {
	// startedAt is the time of the first request for the load or the changes, in milliseconds since 1970.
	startedAt int
	// rewriteSettings identifies the settings with which the delta link was rewritten or created.
	rewriteSettings string
	// lostTokens counts loads since the last valid token.
	lostTokens int
	// resumed reports that a previous start of the connector began the phase: changes are read right after it.
	resumed bool
	// snapshot is the number of a load that replaces a lost token or was requested by a user. Zero means none.
	snapshot int
	// endMarkerPending is the number of a snapshot whose end no row has marked yet.
	endMarkerPending int
}

func (c *common) shared() *common { return c }

// subscribing prepares the load of an ODP service. No phase after opening requests the extraction again (P13).
type subscribing struct {
	common
	step string
	url  string
	// terminated reports that another reader's subscription was ended.
	terminated bool
}

// Steps of subscribing, as stored.
const (
	stepCheckSubscribed = "ask"
	stepTerminate       = "end"
	// stepExtract requests the first extraction. It is stored before the request (P13).
	stepExtract = "open"
	// stepAwaitExtraction: it was requested before; its result is unknown.
	stepAwaitExtraction = "wait"
)

// loading reads the set with change tracking, by next links.
type loading struct {
	common
	url string
	// continued: not the first page. applied: the service confirmed change tracking.
	continued, applied bool
	rowsRead           int
	// linksCountRows: deleted rows may have hidden others, so a snapshot follows. lastKey is set while the link may
	// contain either the last key or a count.
	linksCountRows bool
	lastKey        string
	followed       paging.LoopDetector
}

// readingSnapshot reads the set like full mode, without change tracking; the changes since link follow. It follows a
// load whose links count rows, or an ODP extraction whose rows were lost, or a user's request.
type readingSnapshot struct {
	common
	link string
	// onDemand reports that a user requested it, so that it may be abandoned.
	onDemand bool
	started  bool
	position []wit.OffsetEntry
}

// readingChanges reads changes from a delta link. Its first request confirms everything before it (P1).
type readingChanges struct {
	common
	url string
	// link is the delta link if url is that of a further page or of a prepared response.
	link      string
	continued bool
	rowsRead  int
	// retriedAfter202: requested again because the service did not finish preparing (202). relinked: because a page was lost.
	retriedAfter202, retriedAfterLostPage bool
	// unnotified reports that no notification preceded the request.
	unnotified bool
	followed   paging.LoopDetector
}

// idle waits for the next poll; link is the delta link.
type idle struct {
	common
	link string
	// at is the time of the last page in milliseconds since 1970.
	at int
}

// findingDeltaLink reads the delta links that an ODP service keeps.
type findingDeltaLink struct {
	common
	reason string
	url    string
	// link is the lost delta link, or the previous one.
	link string
	deltaLinkRow
	followed paging.LoopDetector
}

// Reasons for findingDeltaLink, as stored.
const (
	reasonLoaded  = "loaded"
	reasonChanged = "changed"
	reasonLost    = "lost"
	reasonOpened  = "opened"
)

// legacyLoad is a load of an earlier version without change tracking. It restarts as a snapshot.
type legacyLoad struct {
	common
	// deltaLink is the delta link of a load on demand; else token makes it, or it is url.
	deltaLink, token string
	url              string
}

// deltaLinkRow is a delta link that the service keeps. created is in the service's form; first marks the link of a
// first load.
type deltaLinkRow struct {
	token, created string
	initialLoad    bool
}
