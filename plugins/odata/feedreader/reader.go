package feedreader

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Reader reads the rows of one response chunk by chunk. Full mode, delta mode and notifications embed it.
type Reader struct {
	Pool     *Pool // keeps the reader after [Pool.End]
	context  *Context
	Feed     *Feed
	BaseURL  string        // URL of the response, against which links are resolved
	Response wit.Response  // without body, and with few headers
	Body     []byte        // the body of an error
	Out      decode.Output // the last decoded chunk
	charset  string        // of the response's Content-Type, in lower case; may be empty
	// Options of the decoder of v4.
	Options decode.JSON4Options
	learned
	Decoder *formatDecoder // nil before the first bytes
	Single  bool           // the response is one entity
	// Exempt, if set, returns true for rows that need not match the filter.
	Exempt func(row int) bool
	page   *paging.Page // of a reader in full mode; reused
	// check is the metadata check that the last rows are waiting for.
	check       *metadataCheck
	Ended       bool // the last chunk was read
	schemasSent bool // a result of the page had the schemas
}

// learned is what responses show about the service. It is stored in offsets.
type learned struct {
	FormatRefused bool // the service refuses $format
	guidCase      byte // lowerCase or upperCase, the case of GUIDs in rows; zero if unknown
}

// Pool keeps idle readers, with their buffers, and decoders for reuse.
type Pool struct {
	Readers  []*Reader
	Decoders []*formatDecoder
}

// formatDecoder is a decoder of a feed's rows in one of the formats.
type formatDecoder struct {
	decode.Decoder
	feed    *Feed
	Atom    bool
	options decode.JSON4Options
}

const (
	MaxPooled    = 8         // idle readers and decoders, of about 90 KB each
	MaxErrorBody = 256 << 10 // bytes of an error document that are read
)

// Begin returns a reader for a response. guidField is the field [GuidField] of the offset.
func (p *Pool) Begin(context *Context, feed *Feed, response *wit.Response, guidField string) *Reader {
	reader := &Reader{}
	if n := len(p.Readers); n > 0 {
		reader = p.Readers[n-1]
		p.Readers = p.Readers[:n-1]
	}
	reader.Pool = p
	reader.context = context
	reader.Feed = feed
	reader.Ended = false
	reader.schemasSent = false
	reader.FormatRefused = false
	reader.Single = false
	reader.Exempt = nil
	reader.check = &metadataCheck{}
	reader.Body = reader.Body[:0]
	reader.BaseURL = string([]byte(response.Target))
	reader.Response = wit.Response{Status: response.Status, ReceivedAt: response.ReceivedAt, Target: reader.BaseURL}
	if odataerror.HasVersion(response) {
		reader.Response.Headers = versionHeaders
	}
	if lost := HeaderValue(response.Headers, wit.SessionLostHeader); lost != "" {
		reader.Response.Headers = append(slices.Clip(reader.Response.Headers),
			wit.Header{Name: wit.SessionLostHeader, Value: strings.Clone(lost)})
	}
	reader.guidCase = 0 // earlier versions also stored L and U
	if guidField != "" && (guidField[0]|0x20 == lowerCase || guidField[0]|0x20 == upperCase) {
		reader.guidCase = guidField[0] | 0x20
	}
	contentType := strings.ToLower(HeaderValue(response.Headers, "Content-Type"))
	reader.Options = decode.JSON4Options{Exact: strings.Contains(contentType, "ieee754compatible=true")}
	_, reader.charset, _ = strings.Cut(contentType, "charset=")
	reader.charset, _, _ = strings.Cut(reader.charset, ";")
	reader.charset = strings.Trim(reader.charset, `"' `)
	return reader
}

// versionHeaders replace the headers of a response that contain the OData version. The response's own headers are only
// valid during the call.
var versionHeaders = []wit.Header{{Name: "DataServiceVersion", Value: "2.0"}}

// End returns the reader to the pool; it must not be used afterwards. keepDecoder is false after an error.
func (p *Pool) End(reader *Reader, keepDecoder bool) {
	if keepDecoder && reader.Decoder != nil {
		reader.Decoder.Reset()
		if len(p.Decoders) == MaxPooled {
			p.Decoders = slices.Delete(p.Decoders, 0, 1)
		}
		p.Decoders = append(p.Decoders, reader.Decoder)
	}
	reader.Decoder = nil
	reader.context = nil
	reader.Feed = nil
	if len(p.Readers) < MaxPooled {
		p.Readers = append(p.Readers, reader)
	}
}

// CollectBody collects the body of an error response.
func (r *Reader) CollectBody(chunk []byte) {
	r.Body = append(r.Body, chunk[:min(len(chunk), MaxErrorBody-len(r.Body))]...)
}

// Rewrite removes what was read only for the filter.
func (r *Reader) Rewrite(out *decode.Output) error {
	if err := r.Feed.Rows.Rewrite(out); err != nil {
		return &wit.Error{Kind: wit.ErrorInternal, Message: r.Label() + ": " + err.Error()}
	}
	return nil
}

// ChooseDecoder sets the decoder by the first bytes, since some services ignore $format and Accept. It returns false if
// the chunk is empty, and more chunks follow.
func (r *Reader) ChooseDecoder(chunk []byte, isLast bool) bool {
	if len(chunk) == 0 && !isLast {
		return false
	}
	useAtom := r.Feed.isAtom(chunk)
	isPooled := func(d *formatDecoder) bool {
		return d.feed == r.Feed && d.Atom == useAtom && d.options == r.Options
	}
	if i := slices.IndexFunc(r.Pool.Decoders, isPooled); i >= 0 {
		r.Decoder = r.Pool.Decoders[i]
		r.Pool.Decoders = slices.Delete(r.Pool.Decoders, i, i+1)
	} else {
		r.Decoder = &formatDecoder{r.Feed.NewDecoder(chunk, r.Options), r.Feed, useAtom, r.Options}
	}
	return true
}

// isAtom reports whether a response is Atom by its first bytes, else by the configuration.
func (f *Feed) isAtom(chunk []byte) bool {
	if !f.Dialect.Atom {
		return false
	}
	switch content := bytes.TrimLeft(chunk, " \t\r\n\xef\xbb\xbf"); {
	case len(content) == 0: // nothing shows the format
	case content[0] == '<':
		return true
	case content[0] == '{' || content[0] == '[':
		return false
	}
	return f.Atom
}

// Label names the set in messages.
func (r *Reader) Label() string { return r.Feed.Label() }

// Resolve turns a link of the response into a target.
func (r *Reader) Resolve(link decode.Link) (string, error) {
	return r.Feed.Resolve(&r.context.Origin, link, r.BaseURL)
}

// Resolve turns a link of the service into a target.
func (f *Feed) Resolve(origin *uri.Origin, link decode.Link, base string) (string, error) {
	target, err := origin.Resolve(link.Href, link.Base, base)
	var foreign *uri.ForeignError
	switch {
	case errors.As(err, &foreign):
		return "", odataerror.ForSetting(config.LinkHosts, f.Label()+": "+err.Error())
	case err != nil:
		return "", &wit.Error{Kind: wit.ErrorData, Message: f.Label() + ": " + err.Error()}
	}
	return target, nil
}

// NewDecoder returns a decoder for the format of the text.
func (f *Feed) NewDecoder(chunk []byte, options decode.JSON4Options) decode.Decoder {
	if f.isAtom(chunk) {
		return decode.NewAtom(f.RowSchema)
	}
	return jsonDecoders[f.Dialect](f.RowSchema, options)
}

// jsonDecoders create decoders of JSON by the dialect.
var jsonDecoders = map[*edm.Dialect]func(*decode.RowSchema, decode.JSON4Options) decode.Decoder{
	edm.V2: func(schema *decode.RowSchema, _ decode.JSON4Options) decode.Decoder { return decode.NewJSON(schema) },
	edm.V4: func(schema *decode.RowSchema, options decode.JSON4Options) decode.Decoder {
		return decode.NewJSON4(schema, options)
	},
}

// warnOfLongNumber warns once for a set of numbers that the service may have rounded.
func (r *Reader) warnOfLongNumber(out *decode.Output) {
	if r.Feed.hasLongNumber || out.Page.LongNumber == "" {
		return
	}
	r.Feed.hasLongNumber = true
	sdk.Log(wit.LevelWarn, r.Label()+": property "+out.Page.LongNumber+": the service ignores IEEE754Compatible=true "+
		"and writes numbers that it may have rounded to 53 bits; SAP CAP writes them as texts with "+
		"cds.features.ieee754compatible=true")
}

// EntityTarget returns the URL of the entity with a key predicate.
func (f *Feed) EntityTarget(predicate string) string {
	options := f.Paging.Options
	if f.Paging.FormatOption != "" {
		options = append([]string{f.Paging.FormatOption}, options...)
	}
	target := f.Service + "/" + f.Address + predicate
	if len(options) > 0 {
		target += "?" + strings.Join(options, "&")
	}
	return f.Query.AppendTo(target)
}

// HeaderValue returns the first header with a name, or "".
func HeaderValue(headers []wit.Header, name string) string {
	for _, header := range headers {
		if strings.EqualFold(header.Name, name) {
			return header.Value
		}
	}
	return ""
}

// CopyLearned copies what another reader learned about the service.
func (r *Reader) CopyLearned(other *Reader) {
	r.FormatRefused = other.FormatRefused
	if r.guidCase == 0 {
		r.guidCase = other.guidCase
	}
}

// FitKeys writes the GUIDs of a deleted entity's key in the case of rows.
func (r *Reader) FitKeys(keyParts [][]byte) {
	for _, k := range r.Feed.guids {
		switch guid, _ := connectdata.LengthPrefixed(keyParts[k]); r.guidCase {
		case lowerCase:
			copy(guid, bytes.ToLower(guid))
		case upperCase:
			copy(guid, bytes.ToUpper(guid))
		}
	}
}

// AddSchemas adds the schemas to the first result with rows of a page.
func (r *Reader) AddSchemas(result *wit.DecodeResult) {
	if len(result.Rows) > 0 && !r.schemasSent {
		r.schemasSent = true
		result.Schemas = r.Feed.schemas()
	}
}

// metadataCheck is a check whether properties were added to the metadata.
type metadataCheck struct {
	names    []string // of properties that rows have and the metadata lack
	document []byte   // the metadata received so far
}
