package delta

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// Phases of delta mode.
const (
	// phaseAsk asks an ODP service whether somebody has subscribed already.
	phaseAsk = "ask"
	// phaseEnd ends that subscription, to take it over.
	phaseEnd = "end"
	// phaseOpen: the first extraction is about to be asked for. It stands in the stored offset before it is (P13).
	phaseOpen = "open"
	// phaseWait: it was asked for before, and nobody knows what became of it.
	phaseWait = "wait"
	// phaseLoad reads the set whole, phaseChanges what changed.
	phaseLoad    = "load"
	PhaseChanges = "changes"
	// phaseSecond reads the set whole once more, page by page as full mode does, see second.go.
	phaseSecond = "second"
	// phaseLinks asks an ODP service for the delta links that it keeps.
	phaseLinks = "links"
)

// position is where delta mode stands: the plugin's part of a stored offset.
type position struct {
	phase string
	// url is path and query of the request.
	url string
	// rest: all is read, url is the delta link from which to go on. at is when that was, began when the load or the
	// changes were asked for first, in milliseconds since 1970.
	rest      bool
	at, began int
	// inside: the page is not the first of the load or of the changes; link is the delta link of these changes, also
	// where the service has them asked for at another address.
	inside bool
	link   string
	// seen is the number of rows of the load or of these changes so far.
	seen int
	// applied: the service says that it tracks changes.
	applied bool
	// plain: the load is read without asking that changes be tracked, since that was asked for before; token is from
	// where they follow.
	plain bool
	token string
	// total is how many rows the service counted when a plain load began, 0: it didn't say; uncounted: it refuses to.
	// check: fewer came, and it is asked how many there are now.
	total            int
	uncounted, check bool
	// why says for what the links are asked.
	why string
	// created is when the candidate in token was made, as the service has it; first: it is that of a first load.
	created string
	first   bool
	// rewritten is the mark of the settings by which the link was rewritten, or which found it made anew.
	rewritten string
	// again: what may be done once was done. Of a page that the service prepares (202): it got its time once more; of
	// a load with kept: it was begun once more; of the question whether somebody has subscribed: that subscription was
	// ended.
	again bool
	// relinked: the changes were asked for from their link once more, since a page of them could not be had.
	relinked bool
	// resumed: it was begun by an earlier start of the connector, so that changes made since then are asked for behind
	// it.
	resumed bool
	// counted: the load's links count rows, or may, so that rows which are deleted meanwhile hide others: the set is
	// read once more. second is where that reading stands; url is the delta link behind it then. doubt is the key of
	// the last row behind which the link may lead, or by the number of rows.
	counted bool
	second  *paging.Position
	doubt   string
	// pass is how many loads came to fewer rows than the service counts, or were begun for a lost token, one after
	// another.
	pass int
	// untold: the changes were asked for although nobody had told of any, see [notificationCheck].
	untold bool
	// snapshot is the number of the load that took the place of a lost token, or that somebody has asked for, 0: none.
	snapshot int
	// owed is the number of such a load whose end no row has said.
	owed int
	// kept is the delta link that is gone on from behind a load that somebody has asked for, "" for none.
	kept string
	// rows and gone are sieves, as texts, of the keys of rows and of deleted entities on the earlier pages of these
	// changes.
	rows, gone string
	// followed are the links that led here.
	followed paging.Trail
}

// Reasons to ask for links.
const (
	whyLoaded  = "loaded"
	whyChanged = "changed"
	whyLost    = "lost"
	whyOpened  = "opened"
)

func (p *position) items() []paging.Item {
	return []paging.Item{
		{Name: "phase", Text: &p.phase}, {Name: "url", Text: &p.url}, {Name: "rest", Flag: &p.rest},
		{Name: "at", Number: &p.at, Least: 1},
		{Name: "began", Number: &p.began, Least: 1}, {Name: "inside", Flag: &p.inside}, {Name: "link", Text: &p.link},
		{Name: "seen", Number: &p.seen, Least: 1}, {Name: "applied", Flag: &p.applied}, {Name: "plain", Flag: &p.plain},
		{Name: "total", Number: &p.total, Least: 1}, {Name: "uncounted", Flag: &p.uncounted},
		{Name: "check", Flag: &p.check},
		{Name: "token", Text: &p.token}, {Name: "why", Text: &p.why}, {Name: "created", Text: &p.created},
		{Name: "first", Flag: &p.first},
		{Name: "rewritten", Text: &p.rewritten}, {Name: "again", Flag: &p.again},
		{Name: "relinked", Flag: &p.relinked}, {Name: "resumed", Flag: &p.resumed},
		{Name: "untold", Flag: &p.untold},
		{Name: "counted", Flag: &p.counted}, {Name: "doubt", Text: &p.doubt}, {Name: "pass", Number: &p.pass, Least: 1},
		{Name: "owed", Number: &p.owed, Least: 1},
		{Name: "snapshot", Number: &p.snapshot, Least: 1}, {Name: "kept", Text: &p.kept},
		{Name: "rows", Text: &p.rows}, {Name: "gone", Text: &p.gone},
		{Name: "followed", Trail: &p.followed},
	}
}

// asked is the delta link of the changes that are read.
func (p *position) asked() string {
	if p.link != "" {
		return p.link
	}
	return p.url
}

func (p *position) fields() []wit.Field {
	fields := paging.Write(p.items())
	if p.second != nil {
		for _, f := range p.second.Fields() {
			f.Name = secondField + f.Name
			fields = append(fields, f)
		}
	}
	return fields
}

// ReadDelta reads a stored offset of delta mode; nil if it is empty.
func ReadDelta(offset []wit.Field) (*position, error) {
	if len(offset) == 0 {
		return nil, nil
	}
	p := &position{}
	if err := paging.ReadItems(offset, p.items()); err != nil {
		return nil, err
	}
	if p.phase == "" && strings.Contains(strings.ToLower(p.url), "deltatoken") { // another connector's, taken over
		p.phase, p.rest = PhaseChanges, true
	}
	switch p.phase {
	case phaseAsk, phaseEnd, phaseOpen, phaseWait, phaseLoad, phaseSecond, PhaseChanges, phaseLinks:
	default:
		return nil, &wit.Fault{Kind: wit.FaultIncompatible,
			Message: "offset: expected a phase of delta mode, found \"" + p.phase + "\""}
	}
	if p.phase == phaseSecond {
		var second []wit.Field
		for _, f := range offset {
			if name, ok := strings.CutPrefix(f.Name, secondField); ok {
				second = append(second, wit.Field{Name: name, Value: f.Value})
			}
		}
		var err error
		if p.second, err = paging.Read(second); err != nil {
			return nil, err
		}
		if p.second == nil {
			return nil, &wit.Fault{Kind: wit.FaultIncompatible,
				Message: "offset: expected a field " + secondField + "url, found none"}
		}
	}
	if p.url == "" || p.url[0] != '/' {
		return nil, &wit.Fault{Kind: wit.FaultIncompatible,
			Message: "offset: expected field url with a path, found \"" + p.url + "\""}
	}
	return p, nil
}

// Tracked tells whether an offset is one of delta mode.
func Tracked(offset []wit.Field) bool {
	_, ok := wit.Lookup(offset, "phase")
	return ok
}
