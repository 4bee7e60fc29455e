package delta

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// Names of phases, and of their fields below, are stored in offsets and must not change.

func (*loading) name() string          { return "load" }
func (*readingSnapshot) name() string  { return "second" }
func (*comparing) name() string        { return "keys" }
func (*readingHidden) name() string    { return "hidden" }
func (*readingChanges) name() string   { return "changes" }
func (*idle) name() string             { return "changes" }
func (*findingDeltaLink) name() string { return "links" }
func (s *subscribing) name() string    { return s.step }

func (s *subscribing) target() string      { return s.url }
func (l *loading) target() string          { return l.url }
func (r *readingSnapshot) target() string  { return r.link }
func (r *readingHidden) target() string    { return r.link }
func (r *readingChanges) target() string   { return r.url }
func (i *idle) target() string             { return i.link }
func (f *findingDeltaLink) target() string { return f.url }

func (c *common) fields() []paging.OffsetField {
	return []paging.OffsetField{
		paging.Number("began", &c.startedAt), paging.Text("rewritten", &c.rewriteSettings),
		paging.Number("pass", &c.lostTokens), paging.Flag("resumed", &c.resumed),
		paging.Number("snapshot", &c.snapshot), paging.Number("owed", &c.endMarkerPending),
		paging.Text("complete", &c.verdict),
	}
}

func (s *subscribing) fields() []paging.OffsetField {
	return append(s.common.fields(), paging.Text("url", &s.url), paging.Flag("again", &s.terminated))
}

func (l *loading) fields() []paging.OffsetField {
	return append(l.common.fields(), paging.Text("url", &l.url), paging.Flag("inside", &l.continued),
		paging.Flag("applied", &l.applied), paging.Number("seen", &l.rowsRead), paging.Number("total", &l.totalCount),
		paging.Flag("early", &l.isEarlyLink), paging.Flag("counted", &l.linksCountRows), paging.Text("doubt", &l.lastKey),
		paging.Loop("followed", &l.followed))
}

func (r *readingSnapshot) fields() []paging.OffsetField {
	return append(r.common.fields(), paging.Text("url", &r.link), paging.Flag("beside", &r.onDemand),
		paging.Flag("inside", &r.started))
}

func (r *readingHidden) fields() []paging.OffsetField {
	return append(r.common.fields(), paging.Text("url", &r.link), paging.Text("hidden", &r.keys),
		paging.Number("seen", &r.rowsRead))
}

func (r *readingChanges) fields() []paging.OffsetField {
	return append(r.common.fields(), paging.Text("url", &r.url), paging.Text("link", &r.link),
		paging.Flag("inside", &r.continued), paging.Number("seen", &r.rowsRead),
		paging.Flag("again", &r.retriedAfter202), paging.Flag("relinked", &r.retriedAfterLostPage),
		paging.Flag("untold", &r.unnotified), paging.Loop("followed", &r.followed))
}

func (i *idle) fields() []paging.OffsetField {
	isIdle := true
	return append(i.common.fields(), paging.Text("url", &i.link), paging.Flag("rest", &isIdle),
		paging.Number("at", &i.readAt))
}

func (f *findingDeltaLink) fields() []paging.OffsetField {
	return append(f.common.fields(), paging.Text("why", &f.reason), paging.Text("url", &f.url),
		paging.Text("link", &f.link), paging.Text("token", &f.token), paging.Text("created", &f.created),
		paging.Flag("first", &f.initialLoad), paging.Loop("followed", &f.followed))
}

// snapshotPrefix starts the names of the fields of a snapshot's position.
const snapshotPrefix = "second."

func writePhase(current phase) []wit.OffsetEntry {
	fields := append([]wit.OffsetEntry{wit.StringEntry("phase", current.name())}, paging.WriteFields(current.fields())...)
	if p := snapshotOf(current); p != nil {
		for _, field := range p.position {
			fields = append(fields, wit.OffsetEntry{Name: snapshotPrefix + field.Name, Value: field.Value})
		}
	}
	return fields
}

func stripPrefix(prefix string, fields []wit.OffsetEntry) (stripped []wit.OffsetEntry) {
	for _, field := range fields {
		if name, ok := strings.CutPrefix(field.Name, prefix); ok {
			stripped = append(stripped, wit.OffsetEntry{Name: name, Value: field.Value})
		}
	}
	return stripped
}

// readPhase returns the phase in an offset, nil for an empty offset.
func readPhase(offset []wit.OffsetEntry) (phase, error) {
	if len(offset) == 0 {
		return nil, nil
	}
	var current phase
	name := paging.LookupText(offset, "phase")
	isIdle := paging.LookupFlag(offset, "rest")
	switch {
	case name == "" && strings.Contains(strings.ToLower(paging.LookupText(offset, "url")), "deltatoken"):
		current = &idle{} // imported from another connector
	case name == "changes" && isIdle:
		current = &idle{}
	case name == "changes":
		current = &readingChanges{}
	case name == "load":
		current = &loading{}
	case name == "second":
		current = &readingSnapshot{}
	case name == "keys":
		current = &comparing{}
	case name == "hidden":
		current = &readingHidden{}
	case name == "links":
		current = &findingDeltaLink{}
	case name == stepCheckSubscribed || name == stepTerminate || name == stepExtract || name == stepAwaitExtraction:
		current = &subscribing{step: name}
	default:
		return nil, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected a phase of delta mode, found \"" + name + "\""}
	}
	// Read the fields of the phase, and the position of a snapshot, whose fields have a prefix.
	fields := offset
	snapshot := snapshotOf(current)
	if snapshot != nil {
		fields = slices.DeleteFunc(slices.Clone(offset), func(f wit.OffsetEntry) bool {
			return strings.HasPrefix(f.Name, snapshotPrefix)
		})
	}
	if err := paging.ReadFields(fields, append(current.fields(), paging.Text("phase", &name)), name != ""); err != nil {
		return nil, err
	}
	if current.target() == "" {
		return nil, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected field url with a path, found none"}
	}
	if snapshot == nil {
		return current, nil
	}
	snapshot.position = stripPrefix(snapshotPrefix, offset)
	position, err := paging.Read(snapshot.position)
	if position == nil && err == nil {
		err = &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected a field " + snapshotPrefix + "url, found none"}
	}
	return current, err
}

// CheckOffset returns an error if an offset cannot be continued.
func CheckOffset(offset []wit.OffsetEntry) error {
	_, err := readPhase(offset)
	return err
}

// IsDeltaOffset reports whether an offset was written in delta mode.
func IsDeltaOffset(offset []wit.OffsetEntry) bool {
	_, ok := wit.Lookup(offset, "phase")
	return ok
}
