package delta

import (
	"github.com/culvert-project/culvert/plugins/odata/load"
	"github.com/culvert-project/culvert/wit"
)

// phase is where delta mode stands: the plugin's part of a stored offset. Its kinds are the types of this file; which
// follows which stands in transitions.go, and for ODP services in odp.go.
type phase interface {
	// name is that in the offset.
	name() string
	// target is path and query of the request.
	target() string
	carried() *course
	items() []load.Item
}

// course is what all phases carry along from one to the next.
type course struct {
	// began is when the load or the changes were asked for first, in milliseconds since 1970.
	began int
	// rewritten is the mark of the settings by which the delta link was rewritten, or which found it newly made.
	rewritten string
	// pass is how many loads were begun for a lost token, one after another.
	pass int
	// resumed: it was begun by an earlier start of the connector, so that changes made since then are asked for after
	// it.
	resumed bool
	// snapshot is the number of the load that takes the place of a lost token, or that somebody has asked for, 0: none.
	// It is read in the phases up to the end of that load.
	snapshot int
	// unmarked is the number of such a load whose end mark no row had.
	unmarked int
}

func (c *course) carried() *course { return c }

// asking asks an ODP service for what goes before a load: whether somebody has subscribed, the end of that, or for the
// first extraction. No phase comes after opening that would ask for the extraction a second time (P13).
type asking struct {
	course
	// step is one of the constants below.
	step string
	url  string
	// ended: the subscription of another reader was ended.
	ended bool
}

// Steps of asking, as they stand in the offset.
const (
	// stepAsk asks an ODP service whether somebody has subscribed already.
	stepAsk = "ask"
	// stepEnd ends that subscription, to take it over.
	stepEnd = "end"
	// stepOpen: the first extraction is about to be asked for. It stands in the stored offset before it is (P13).
	stepOpen = "open"
	// stepWait: it was asked for before, and nobody knows what became of it.
	stepWait = "wait"
)

// loading reads the set whole, with changes tracked from its beginning, by the service's links.
type loading struct {
	course
	url string
	// inside: the page is not the first one. applied: the service says that it tracks changes.
	inside, applied bool
	// seen is the number of rows so far.
	seen int
	// counted: the links count rows, or may, so that rows which are deleted meanwhile hide others: a rescan follows.
	// doubt is the key of the last row, after which the link may lead, or by the number of rows.
	counted bool
	doubt   string
	// followed are the links that led here.
	followed load.Trail
}

// rescanning reads the set whole without tracking changes, as full mode does; the changes since the delta link follow.
// It comes after a load whose links count rows, or is a load by itself: where somebody has asked for one, or where the
// rows of an ODP service's first extraction got lost.
type rescanning struct {
	course
	link string
	// onDemand: somebody has asked for it, and nothing depends on it.
	onDemand bool
	// begun: rows of the load were handed on.
	begun bool
	// walk is where the reading stands.
	walk []wit.OffsetEntry
}

// changing reads changes since a delta link. Its first request says to the service that all before has arrived (P1).
type changing struct {
	course
	url string
	// link is the delta link of these changes where url is another one: that of a further page, or where the service
	// has them asked for.
	link string
	// inside: the page is not the first one.
	inside bool
	// seen is the number of rows so far.
	seen int
	// again: they were asked for from their link once more, since the service did not come to its answer (202).
	// relinked: they were since a page of them could not be had.
	again, relinked bool
	// unnotified: they were asked for although no notification had come, see [entry.NotificationCheck].
	unnotified bool
	// followed are the links that led here.
	followed load.Trail
}

// resting: all is read, and link leads on.
type resting struct {
	course
	link string
	// at is when the last page came, in milliseconds since 1970.
	at int
}

// listing asks an ODP service for the delta links that it keeps.
type listing struct {
	course
	// why says what for.
	why string
	url string
	// link is the delta link that is lost, or of the changes before.
	link string
	// deltaLinkRow is the best candidate so far.
	deltaLinkRow
	followed load.Trail
}

// Reasons to ask for links.
const (
	whyLoaded  = "loaded"
	whyChanged = "changed"
	whyLost    = "lost"
	whyOpened  = "opened"
)

// plainLoad is a load of a version before that asked for no tracking, and read by links: it begins again as a rescan.
type plainLoad struct {
	course
	// kept is the link to go on from for one that somebody has asked for, else token makes it, or it is url: the
	// changes after a load whose links count rows.
	kept, token string
	url         string
}

// deltaLinkRow is one of the links that the service keeps: its token, when it was made, as the service has it, and
// whether it is that of a first load.
type deltaLinkRow struct {
	token, created string
	first          bool
}
