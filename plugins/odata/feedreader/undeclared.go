package feedreader

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// metadataTag is the tag of a request for the metadata in the middle of a page, because rows have a property that the
// metadata lack. The rows wait: if the property was added, the plugin must be opened again, else the property is left
// out (RATIONALE.md P23).
const metadataTag = "metadata"

const maxMetadata = 64 << 20 // bytes, the host's limit for open

const maxAbsent = 1000 // properties in [Feed.absent]

// Chunk is a part of a response. TagPrefix starts the tags of nested requests.
type Chunk struct {
	TagPrefix string
	Tag       string
	Data      []byte
	Last      bool
}

// DecodeChunk decodes a chunk. waits means that the rows stay in out until the requested metadata were passed in.
func (r *Reader) DecodeChunk(decoder decode.Decoder, out *decode.Output, chunk Chunk,
	result *wit.DecodeResult) (waits bool, err error) {
	if chunk.Tag == metadataTag {
		return r.checkMetadata(chunk.Data, chunk.Last)
	}
	out.Reset()
	if err := decoder.Feed(chunk.Tag, chunk.Data, chunk.Last, out); err != nil {
		return false, r.decodeError(err)
	}
	if err := r.checkStale(out); err != nil {
		return false, err
	}
	if r.check.names = r.undeclaredNames(out.Page.Unknown); len(r.check.names) == 0 {
		return false, nil
	}
	request := service.MetadataRequest(r.Feed.Service, r.Feed.Query)
	request.Tag = chunk.TagPrefix + metadataTag
	result.Linked = append(result.Linked, wit.LinkedRequest{Request: request, Tolerate: odataerror.RouterStatuses})
	return true, nil
}

// checkStale reports undecodable rows as stale metadata if these are not fresh.
func (r *Reader) checkStale(out *decode.Output) error {
	if r.Response.ReceivedAt-r.context.ReadAt <= sourceconfig.FreshFor {
		return nil
	}
	for i := range out.RowErrors {
		if rowError := &out.RowErrors[i]; !slices.Contains(out.Skipped, rowError.RowIndex) {
			return &wit.Error{Kind: wit.ErrorStale, Message: r.Label() + ": " + rowError.Error.Message}
		}
	}
	return nil
}

func (r *Reader) undeclaredNames(properties []string) (names []string) {
	feed := r.Feed
	for _, name := range properties {
		if known, ok := feed.absent[name]; ok && r.Response.ReceivedAt <= known.validUntil {
			continue
		}
		if !slices.ContainsFunc(feed.Derived, func(p string) bool { return strings.HasPrefix(p, name+" ") }) {
			names = append(names, name)
		}
	}
	return names
}

func (r *Reader) checkMetadata(chunk []byte, isLast bool) (waits bool, err error) {
	feed := r.Feed
	check := r.check
	if len(check.document)+len(chunk) > maxMetadata {
		return false, &wit.Error{Kind: wit.ErrorData, Message: r.Label() + ": expected $metadata of at most " +
			strconv.Itoa(maxMetadata) + " bytes, found more"}
	}
	check.document = append(check.document, chunk...)
	if !isLast {
		return true, nil
	}
	model, err := service.ReadMetadata(feed.Service, &wit.Response{Status: 200, Body: check.document})
	if err != nil {
		return false, err
	}
	_, entityType, err := sourceconfig.FindSet(&feed.EntitySetConfig, model)
	if err != nil {
		return false, err
	}
	derived := derivedProperties(model, entityType)
	for _, name := range check.names {
		isOfDerivedType := func(p string) bool { return strings.HasPrefix(p, name+" ") }
		// A property that the feed's metadata have, but its layout has not, is no reason to open again.
		if (declares(model, entityType, name) && !declares(feed.model, feed.EntityType(), name)) ||
			slices.ContainsFunc(derived, isOfDerivedType) {
			return false, &wit.Error{Kind: wit.ErrorStale, Message: r.Label() + ": property " + name +
				" was added to $metadata after they were read"}
		}
	}
	for _, name := range check.names {
		known, ok := feed.absent[name]
		if !ok {
			known.since = r.Response.ReceivedAt
			sdk.Log(wit.LevelWarn, r.Label()+": property "+name+" is not in $metadata and is left out")
		}
		known.validUntil = r.Response.ReceivedAt + min(max(r.Response.ReceivedAt-known.since, sourceconfig.FreshFor),
			sourceconfig.StillFor)
		feed.rememberAbsence(name, known)
	}
	*check = metadataCheck{}
	return false, nil
}

func (f *Feed) rememberAbsence(name string, a absence) {
	if f.absent == nil || len(f.absent) >= maxAbsent {
		f.absent = map[string]absence{}
	}
	f.absent[name] = a
}

// declares reports whether a type has a property path such as Address/City.
func declares(model *edm.Model, structure *edm.StructuredType, path string) bool {
	name, inner, isNested := strings.Cut(path, "/")
	property := structure.Property(name)
	navigation := structure.Navigation(name)
	if !isNested {
		return property != nil || navigation != nil
	}
	var nestedType *edm.StructuredType
	switch {
	case property != nil:
		nestedType = model.Structure(property.Type.Name)
	case navigation != nil:
		nestedType = model.Structure(navigation.Target)
	}
	return nestedType != nil && declares(model, nestedType, inner)
}
