package feed

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/service"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Rows may bring a property that the metadata lack which open has read (P23). Metadata that are read after such a row
// came decide: where they have it, the plugin is to be opened again and the page to be read with it; where they lack it
// too, the service sends more than it declares, and the property is left out. The page itself asks for them, amid its
// body, and its rows wait meanwhile, so that no instance needs to know what another one has seen.

// metadataTag is that of the page's request for them.
const metadataTag = "metadata"

// maxMetadata bounds their text, in bytes, as the host bounds what open asks for.
const maxMetadata = 64 << 20

// maxAbsent is how many absences of a feed are remembered.
const maxAbsent = 1000

// Part is a piece of what a page consists of. Within begins the tags of requests for what it nests.
type Part struct {
	Within, Tag string
	Piece       []byte
	Last        bool
}

// Take has a decoder make rows of a part. waits: they stay in out until the metadata that the portion asks for have
// come, which take gets as a part too.
func (r *Reader) Take(d decode.Decoder, out *decode.Output, of Part, portion *wit.DecodeResult) (waits bool,
	err error) {
	if of.Tag == metadataTag {
		return r.judge(of.Piece, of.Last)
	}
	out.Reset()
	if err := d.Feed(of.Tag, of.Piece, of.Last, out); err != nil {
		return false, r.unreadable(err)
	}
	if err := r.misfit(out); err != nil {
		return false, err
	}
	if r.doubt.names = r.undeclared(out.Page.Unknown); len(r.doubt.names) == 0 {
		return false, nil
	}
	request := service.MetadataRequest(r.Feed.Service, r.Feed.Query)
	request.Tag = of.Within + metadataTag
	portion.Linked = append(portion.Linked, wit.LinkedRequest{Request: request})
	return true, nil
}

// misfit finds a value that doesn't fit metadata that are no longer fresh.
func (r *Reader) misfit(out *decode.Output) error {
	if r.Answer.ReceivedAt-r.opened.At <= entry.FreshFor {
		return nil
	}
	for i := range out.Faults {
		if f := &out.Faults[i]; !slices.Contains(out.Skipped, f.RowIndex) {
			return &wit.Error{Kind: wit.ErrorStale, Message: r.What() + ": " + f.Error.Message}
		}
	}
	return nil
}

// undeclared are those of the properties that only metadata of now can decide about.
func (r *Reader) undeclared(properties []string) (names []string) {
	f := r.Feed
	for _, name := range properties {
		if a, found := f.absent[name]; found && r.Answer.ReceivedAt <= a.until {
			continue
		}
		// Newer metadata would not help with what is known to be of a derived type.
		if !slices.ContainsFunc(f.Derived, func(p string) bool { return strings.HasPrefix(p, name+" ") }) {
			names = append(names, name)
		}
	}
	return names
}

// judge takes a piece of the metadata. With the last one it decides about what the rows bring.
func (r *Reader) judge(piece []byte, last bool) (waits bool, err error) {
	f, d := r.Feed, r.doubt
	if len(d.document)+len(piece) > maxMetadata {
		return false, &wit.Error{Kind: wit.ErrorData, Message: r.What() + ": expected $metadata of at most " +
			strconv.Itoa(maxMetadata) + " bytes, found more"}
	}
	if d.document = append(d.document, piece...); !last {
		return true, nil
	}
	m, err := service.ReadMetadata(f.Service, &wit.Response{Status: 200, Body: d.document})
	if err != nil {
		return false, err
	}
	_, s, err := entry.FindSet(&f.Entry, m)
	if err != nil {
		return false, err
	}
	derived := derivedProperties(m, s)
	for _, name := range d.names {
		ofDerived := func(p string) bool { return strings.HasPrefix(p, name+" ") }
		// What the feed's own metadata have, and its rows' layout not, is no reason to open again and again.
		if declares(m, s, name) && !declares(f.model, f.Structure(), name) || slices.ContainsFunc(derived, ofDerived) {
			return false, &wit.Error{Kind: wit.ErrorStale, Message: r.What() + ": property " + name +
				" has come into $metadata since they were read"}
		}
	}
	for _, name := range d.names {
		a, found := f.absent[name]
		if !found {
			a.since = r.Answer.ReceivedAt
			sdk.Log(wit.LevelWarn, r.What()+": property "+name+" isn't in $metadata and is left out")
		}
		a.until = r.Answer.ReceivedAt + min(max(r.Answer.ReceivedAt-a.since, entry.FreshFor), entry.StillFor)
		f.lacks(name, a)
	}
	*d = doubt{}
	return false, nil
}

// lacks remembers an absence.
func (f *Feed) lacks(name string, a absence) {
	if f.absent == nil || len(f.absent) >= maxAbsent {
		f.absent = map[string]absence{}
	}
	f.absent[name] = a
}

// declares reports whether a type has the property at a path, as the decoder writes it: through complex types and
// expanded entities, with slashes between.
func declares(m *edm.Model, s *edm.StructuredType, path string) bool {
	name, inner, nested := strings.Cut(path, "/")
	p, n := s.Property(name), s.Navigation(name)
	if !nested {
		return p != nil || n != nil
	}
	var within *edm.StructuredType
	switch {
	case p != nil:
		within = m.Structure(p.Type.Name)
	case n != nil:
		within = m.Structure(n.Target)
	}
	return within != nil && declares(m, within, inner)
}
