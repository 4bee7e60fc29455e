package entityset

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
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

// Chunk is a piece of what a page consists of. Within begins the tags of requests for what it nests.
type Chunk struct {
	TagPrefix, Tag string
	Data           []byte
	Last           bool
}

// DecodeChunk has a decoder make rows of a part. waits: they stay in out until the metadata that the portion asks for
// have come, which take gets as a part too.
func (r *Reader) DecodeChunk(d decode.Decoder, out *decode.Output, of Chunk, portion *wit.DecodeResult) (waits bool,
	err error) {
	if of.Tag == metadataTag {
		return r.checkMetadata(of.Data, of.Last)
	}
	out.Reset()
	if err := d.Feed(of.Tag, of.Data, of.Last, out); err != nil {
		return false, r.decodeError(err)
	}
	if err := r.checkStale(out); err != nil {
		return false, err
	}
	if r.pending.names = r.undeclared(out.Page.Unknown); len(r.pending.names) == 0 {
		return false, nil
	}
	request := service.MetadataRequest(r.Feed.Service, r.Feed.Query)
	request.Tag = of.TagPrefix + metadataTag
	portion.Linked = append(portion.Linked, wit.LinkedRequest{Request: request})
	return true, nil
}

// checkStale finds a value that doesn't fit metadata that are no longer fresh.
func (r *Reader) checkStale(out *decode.Output) error {
	if r.Answer.ReceivedAt-r.opened.At <= sourceconfig.FreshFor {
		return nil
	}
	for i := range out.Faults {
		if f := &out.Faults[i]; !slices.Contains(out.LeftOut, f.RowIndex) {
			return &wit.Error{Kind: wit.ErrorStale, Message: r.Label() + ": " + f.Error.Message}
		}
	}
	return nil
}

// undeclared are those of the properties that only metadata of now can decide about.
func (r *Reader) undeclared(properties []string) (names []string) {
	f := r.Feed
	for _, name := range properties {
		if a, found := f.absent[name]; found && r.Answer.ReceivedAt <= a.validUntil {
			continue
		}
		// Newer metadata would not help with what is known to be of a derived type.
		if !slices.ContainsFunc(f.Derived, func(p string) bool { return strings.HasPrefix(p, name+" ") }) {
			names = append(names, name)
		}
	}
	return names
}

// checkMetadata takes a piece of the metadata. With the last one it decides about what the rows bring.
func (r *Reader) checkMetadata(piece []byte, last bool) (waits bool, err error) {
	f, d := r.Feed, r.pending
	if len(d.document)+len(piece) > maxMetadata {
		return false, &wit.Error{Kind: wit.ErrorData, Message: r.Label() + ": expected $metadata of at most " +
			strconv.Itoa(maxMetadata) + " bytes, found more"}
	}
	if d.document = append(d.document, piece...); !last {
		return true, nil
	}
	m, err := service.ReadMetadata(f.Service, &wit.Response{Status: 200, Body: d.document})
	if err != nil {
		return false, err
	}
	_, s, err := sourceconfig.FindSet(&f.EntitySetConfig, m)
	if err != nil {
		return false, err
	}
	derived := derivedProperties(m, s)
	for _, name := range d.names {
		ofDerived := func(p string) bool { return strings.HasPrefix(p, name+" ") }
		// What the feed's own metadata have, and its rows' layout not, is no reason to open again and again.
		if declares(m, s, name) && !declares(f.model, f.Structure(), name) || slices.ContainsFunc(derived, ofDerived) {
			return false, &wit.Error{Kind: wit.ErrorStale, Message: r.Label() + ": property " + name +
				" has come into $metadata since they were read"}
		}
	}
	for _, name := range d.names {
		a, found := f.absent[name]
		if !found {
			a.since = r.Answer.ReceivedAt
			sdk.Log(wit.LevelWarn, r.Label()+": property "+name+" isn't in $metadata and is left out")
		}
		a.validUntil = r.Answer.ReceivedAt + min(max(r.Answer.ReceivedAt-a.since, sourceconfig.FreshFor),
			sourceconfig.StillFor)
		f.rememberAbsence(name, a)
	}
	*d = metadataCheck{}
	return false, nil
}

// rememberAbsence remembers an absence.
func (f *Feed) rememberAbsence(name string, a absence) {
	if f.absent == nil || len(f.absent) >= maxAbsent {
		f.absent = map[string]absence{}
	}
	f.absent[name] = a
}

// declares reports whether a type has the property at a path, as the decoder writes it: through complex types and
// expanded entities, with slashes between.
func declares(m *edm.Model, s *edm.Structure, path string) bool {
	name, inner, nested := strings.Cut(path, "/")
	p, n := s.Property(name), s.Navigation(name)
	if !nested {
		return p != nil || n != nil
	}
	var within *edm.Structure
	switch {
	case p != nil:
		within = m.Structure(p.Type.Name)
	case n != nil:
		within = m.Structure(n.Target)
	}
	return within != nil && declares(m, within, inner)
}
