package feedreader

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

// Rows may have properties that the metadata lack (P23). The page then requests the metadata again, and its rows wait:
// if the property was added, the plugin has to be opened again; if not, it is left out.

const metadataTag = "metadata"

// maxMetadata bounds the metadata, in bytes, like the host does for open.
const maxMetadata = 64 << 20

const maxAbsent = 1000

// Chunk is a part of a response. TagPrefix starts the tags of nested requests.
type Chunk struct {
	TagPrefix, Tag string
	Data           []byte
	Last           bool
}

// DecodeChunk decodes a chunk. waits reports that the rows stay in out until the requested metadata are passed in as
// another chunk.
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
	if r.check.names = r.undeclared(out.Page.Unknown); len(r.check.names) == 0 {
		return false, nil
	}
	request := service.MetadataRequest(r.Feed.Service, r.Feed.Query)
	request.Tag = of.TagPrefix + metadataTag
	portion.Linked = append(portion.Linked, wit.LinkedRequest{Request: request})
	return true, nil
}

// checkStale reports undecodable rows as stale metadata if these are not fresh.
func (r *Reader) checkStale(out *decode.Output) error {
	if r.Response.ReceivedAt-r.context.ReadAt <= sourceconfig.FreshFor {
		return nil
	}
	for i := range out.RowErrors {
		if f := &out.RowErrors[i]; !slices.Contains(out.Skipped, f.RowIndex) {
			return &wit.Error{Kind: wit.ErrorStale, Message: r.Label() + ": " + f.Error.Message}
		}
	}
	return nil
}

func (r *Reader) undeclared(properties []string) (names []string) {
	f := r.Feed
	for _, name := range properties {
		if a, found := f.absent[name]; found && r.Response.ReceivedAt <= a.validUntil {
			continue
		}
		if !slices.ContainsFunc(f.Derived, func(p string) bool { return strings.HasPrefix(p, name+" ") }) {
			names = append(names, name)
		}
	}
	return names
}

func (r *Reader) checkMetadata(piece []byte, last bool) (waits bool, err error) {
	f, d := r.Feed, r.check
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
		// A property that the feed's metadata have, but its layout has not, is no reason to open again.
		if declares(m, s, name) && !declares(f.model, f.EntityType(), name) || slices.ContainsFunc(derived, ofDerived) {
			return false, &wit.Error{Kind: wit.ErrorStale, Message: r.Label() + ": property " + name +
				" was added to $metadata after they were read"}
		}
	}
	for _, name := range d.names {
		a, found := f.absent[name]
		if !found {
			a.since = r.Response.ReceivedAt
			sdk.Log(wit.LevelWarn, r.Label()+": property "+name+" is not in $metadata and is left out")
		}
		a.validUntil = r.Response.ReceivedAt + min(max(r.Response.ReceivedAt-a.since, sourceconfig.FreshFor),
			sourceconfig.StillFor)
		f.rememberAbsence(name, a)
	}
	*d = metadataCheck{}
	return false, nil
}

func (f *Feed) rememberAbsence(name string, a absence) {
	if f.absent == nil || len(f.absent) >= maxAbsent {
		f.absent = map[string]absence{}
	}
	f.absent[name] = a
}

// declares reports whether a type has a property path such as Address/City.
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
