package feedreader

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
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
	Tag       string // of a nested page or of the metadata, "" for the response itself
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
		// The page is unreadable. The error is transient if the page is truncated or the service failed. The host names
		// the request.
		failure := &wit.Error{Kind: wit.ErrorData, Message: r.Label() + ": " + err.Error()}
		var pageError *decode.PageError
		if errors.As(err, &pageError) {
			switch {
			case pageError.HTML:
				failure.Kind = wit.ErrorUnauthorized
			case pageError.Failed, pageError.Found == "its end":
				failure.Kind = wit.ErrorTransient
			}
		}
		return false, failure
	}
	r.warnOfLongNumber(out)
	// Undecodable rows show that metadata are stale if these are not fresh.
	if r.Response.ReceivedAt-r.context.ReadAt > sourceconfig.FreshFor {
		for i := range out.RowErrors {
			if rowError := &out.RowErrors[i]; !slices.Contains(out.Skipped, rowError.RowIndex) {
				return false, &wit.Error{Kind: wit.ErrorStale, Message: r.Label() + ": " + rowError.Error.Message}
			}
		}
	}
	r.check.names = nil
	for _, name := range out.Page.Unknown {
		if known, ok := r.Feed.absent[name]; ok && r.Response.ReceivedAt <= known.validUntil {
			continue
		}
		if !slices.ContainsFunc(r.Feed.Derived, func(p string) bool { return strings.HasPrefix(p, name+" ") }) {
			r.check.names = append(r.check.names, name)
		}
	}
	if len(r.check.names) == 0 {
		return false, nil
	}
	request := document.MetadataRequest(r.Feed.Dialect, r.Feed.Service, r.Feed.Query)
	request.Tag = chunk.TagPrefix + metadataTag
	result.Linked = append(result.Linked, wit.LinkedRequest{Request: request, Tolerate: odataerror.RouterStatuses})
	return true, nil
}

// checkMetadata reads a chunk of the metadata that [Reader.DecodeChunk] requested. waits is true before the last one.
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
	model, err := document.ReadMetadata(feed.Dialect, feed.Service, &wit.Response{Status: 200, Body: check.document})
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
		// The longer the property was missing, the later the metadata are checked again.
		known.validUntil = r.Response.ReceivedAt + min(max(r.Response.ReceivedAt-known.since, sourceconfig.FreshFor),
			sourceconfig.StillFor)
		if feed.absent == nil || len(feed.absent) >= maxAbsent { // a cache, which may be emptied
			feed.absent = map[string]absence{}
		}
		feed.absent[name] = known
	}
	*check = metadataCheck{}
	return false, nil
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
