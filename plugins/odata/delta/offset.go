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
func (*legacyLoad) name() string       { return "load" }
func (s *subscribing) name() string    { return s.step }

func (s *subscribing) target() string      { return s.url }
func (l *loading) target() string          { return l.url }
func (r *readingSnapshot) target() string  { return r.link }
func (r *readingHidden) target() string    { return r.link }
func (r *readingChanges) target() string   { return r.url }
func (i *idle) target() string             { return i.link }
func (f *findingDeltaLink) target() string { return f.url }
func (l *legacyLoad) target() string       { return l.url }

func (c *common) fields() []paging.OffsetField {
	return []paging.OffsetField{
		{Name: "began", Number: &c.startedAt, Min: 1},
		{Name: "rewritten", Text: &c.rewriteSettings},
		{Name: "pass", Number: &c.lostTokens, Min: 1},
		{Name: "resumed", Flag: &c.resumed},
		{Name: "snapshot", Number: &c.snapshot, Min: 1},
		{Name: "owed", Number: &c.endMarkerPending, Min: 1},
		{Name: "complete", Text: &c.verdict},
	}
}

func (s *subscribing) fields() []paging.OffsetField {
	return append(s.common.fields(), []paging.OffsetField{
		{Name: "url", Text: &s.url},
		{Name: "again", Flag: &s.terminated},
	}...)
}

func (l *loading) fields() []paging.OffsetField {
	return append(l.common.fields(), []paging.OffsetField{
		{Name: "url", Text: &l.url},
		{Name: "inside", Flag: &l.continued},
		{Name: "applied", Flag: &l.applied},
		{Name: "seen", Number: &l.rowsRead, Min: 1},
		{Name: "counted", Flag: &l.linksCountRows},
		{Name: "doubt", Text: &l.lastKey},
		{Name: "followed", Loop: &l.followed},
	}...)
}

func (r *readingSnapshot) fields() []paging.OffsetField {
	return append(r.common.fields(), []paging.OffsetField{
		{Name: "url", Text: &r.link},
		{Name: "beside", Flag: &r.onDemand},
		{Name: "inside", Flag: &r.started},
	}...)
}

func (r *readingHidden) fields() []paging.OffsetField {
	return append(r.common.fields(), []paging.OffsetField{
		{Name: "url", Text: &r.link},
		{Name: "hidden", Text: &r.keys},
		{Name: "seen", Number: &r.rowsRead, Min: 1},
	}...)
}

func (r *readingChanges) fields() []paging.OffsetField {
	return append(r.common.fields(), []paging.OffsetField{
		{Name: "url", Text: &r.url},
		{Name: "link", Text: &r.link},
		{Name: "inside", Flag: &r.continued},
		{Name: "seen", Number: &r.rowsRead, Min: 1},
		{Name: "again", Flag: &r.retriedAfter202},
		{Name: "relinked", Flag: &r.retriedAfterLostPage},
		{Name: "untold", Flag: &r.unnotified},
		{Name: "followed", Loop: &r.followed},
	}...)
}

func (i *idle) fields() []paging.OffsetField {
	isIdle := true
	return append(i.common.fields(), []paging.OffsetField{
		{Name: "url", Text: &i.link},
		{Name: "rest", Flag: &isIdle},
		{Name: "at", Number: &i.readAt, Min: 1},
	}...)
}

func (f *findingDeltaLink) fields() []paging.OffsetField {
	return append(f.common.fields(), []paging.OffsetField{
		{Name: "why", Text: &f.reason},
		{Name: "url", Text: &f.url},
		{Name: "link", Text: &f.link},
		{Name: "token", Text: &f.token},
		{Name: "created", Text: &f.created},
		{Name: "first", Flag: &f.initialLoad},
		{Name: "followed", Loop: &f.followed},
	}...)
}

func (l *legacyLoad) fields() []paging.OffsetField {
	return append(l.common.fields(), []paging.OffsetField{
		{Name: "url", Text: &l.url},
		{Name: "kept", Text: &l.deltaLink},
		{Name: "token", Text: &l.token},
	}...)
}

// snapshotPrefix starts the names of the fields of a snapshot's position.
const snapshotPrefix = "second."

// fieldOrder is the order of the fields in an offset.
var fieldOrder = strings.Fields("phase url rest at began inside link seen applied token why created first rewritten " +
	"again relinked resumed untold counted doubt pass owed snapshot beside complete hidden followed")

func writePhase(current phase) []wit.OffsetEntry {
	items := current.fields()
	slices.SortFunc(items, func(a, b paging.OffsetField) int {
		return slices.Index(fieldOrder, a.Name) - slices.Index(fieldOrder, b.Name)
	})
	fields := append([]wit.OffsetEntry{wit.StringEntry("phase", current.name())}, paging.WriteFields(items)...)
	if p := snapshotOf(current); p != nil {
		fields = append(fields, addPrefix(snapshotPrefix, p.position)...)
	}
	return fields
}

func addPrefix(prefix string, fields []wit.OffsetEntry) (prefixed []wit.OffsetEntry) {
	for _, field := range fields {
		prefixed = append(prefixed, wit.OffsetEntry{Name: prefix + field.Name, Value: field.Value})
	}
	return prefixed
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
	name := paging.TextField(offset, "phase")
	isIdle := paging.FlagField(offset, "rest")
	switch {
	case name == "" && strings.Contains(strings.ToLower(paging.TextField(offset, "url")), "deltatoken"):
		current = &idle{} // imported from another connector
	case name == "changes" && isIdle:
		current = &idle{}
	case name == "load" && paging.FlagField(offset, "plain"), name == "changes" && paging.FlagField(offset, "counted"):
		current = &legacyLoad{}
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
	if err := paging.ReadFields(offset, current.fields()); err != nil {
		return nil, err
	}
	if current.target() == "" {
		return nil, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected field url with a path, found none"}
	}
	if p := snapshotOf(current); p != nil {
		return current, p.read(offset)
	}
	return current, nil
}

// read reads the position of a snapshot, and the fields that only earlier versions wrote.
func (r *readingSnapshot) read(offset []wit.OffsetEntry) error {
	r.onDemand = r.onDemand || paging.TextField(offset, "kept") != ""
	if paging.TextField(offset, "came") != "" {
		// An earlier version that read the keys first wrote this position: the snapshot starts again.
		r.snapshot = max(r.startedAt, r.snapshot+1)
		r.started = false
	}
	r.position = stripPrefix(snapshotPrefix, offset)
	position, err := paging.Read(r.position)
	if position == nil && err == nil {
		err = &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected a field " + snapshotPrefix + "url, found none"}
	}
	return err
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
