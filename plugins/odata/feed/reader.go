package feed

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/load"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// Reader reads an answer piece by piece, as far as that is the same for all answers.
type Reader struct {
	Pool   *Pool
	opened *Context
	Feed   *Feed
	// Base is what relative links of the answer stand on.
	Base string
	// Answer is the response without its body; Body is that of one that is no success. Out is what the last piece of
	// another one came to.
	Answer wit.Response
	Body   []byte
	Out    decode.Output
	// charset is the encoding that the answer's header says, in small letters, "" for none.
	charset string
	// guidCase is the case of GUIDs in rows, 0: nobody knows.
	guidCase byte
	// Unformatted: the service refuses $format, see format.go.
	Unformatted bool

	// Decoder is nil until the first bytes have shown the format.
	Decoder *formatDecoder
	// Single: the answer is one entity, and no page of rows.
	Single bool
	// Exempt says of a row whether it need not meet the filter, nil: all must.
	Exempt func(row int) bool
	// page audits those of a page of the whole set, nil until there was one.
	page *load.Page
	// doubt is what the rows of its last piece wait for.
	doubt *doubt
	// Ended: the page's last piece came. declared: the schemas were handed on; each page hands them on again, so that
	// an abandoned one takes nothing with it.
	Ended, declared bool
}

// Pool has readers and decoders that wait for the next answer: the former keep their memory, the latter are of a feed
// and a format.
type Pool struct {
	Spare    []*Reader
	Decoders []*formatDecoder
}

// formatDecoder is one of a feed's rows in a format.
type formatDecoder struct {
	decode.Decoder
	feed *Feed
	Atom bool
}

// MaxSpare is how many readers and how many decoders a pool keeps: a decoder keeps some 90 KB, and a connector may have
// hundreds of feeds.
const MaxSpare = 8

// MaxErrorBody is how much of an error document is read, in bytes.
const MaxErrorBody = 256 << 10

// Begin readies a reader for an answer, whose rows have GUIDs in the case that a field of an offset says.
func (p *Pool) Begin(o *Context, f *Feed, response *wit.Response, guids string) *Reader {
	r := &Reader{}
	if n := len(p.Spare); n > 0 {
		r, p.Spare = p.Spare[n-1], p.Spare[:n-1]
	}
	r.Pool, r.opened, r.Feed, r.Ended, r.declared = p, o, f, false, false
	r.Unformatted, r.Single, r.Exempt, r.doubt = false, false, nil, &doubt{}
	r.Body = r.Body[:0]
	r.Base = string([]byte(response.Target))
	r.Answer = wit.Response{Status: response.Status, ReceivedAt: response.ReceivedAt, Target: r.Base}
	r.guidCase = caseOf(guids)
	_, r.charset, _ = strings.Cut(strings.ToLower(HeaderValue(response.Headers, "Content-Type")), "charset=")
	r.charset, _, _ = strings.Cut(r.charset, ";")
	r.charset = strings.Trim(r.charset, `"' `)
	return r
}

// End ends the reading of an answer. Its decoder, unless it failed, and its memory wait for the next one.
func (p *Pool) End(r *Reader, sound bool) {
	if sound && r.Decoder != nil {
		r.Decoder.Reset()
		p.keep(r.Decoder)
	}
	r.Decoder, r.opened, r.Feed = nil, nil, nil
	if len(p.Spare) < MaxSpare {
		p.Spare = append(p.Spare, r)
	}
}

// keep keeps a decoder in the place of the one that has waited longest, where there are enough.
func (p *Pool) keep(d *formatDecoder) {
	if len(p.Decoders) == MaxSpare {
		p.Decoders = slices.Delete(p.Decoders, 0, 1)
	}
	p.Decoders = append(p.Decoders, d)
}

// kept is a spare decoder of a feed and format, nil if there is none.
func (p *Pool) kept(f *Feed, atom bool) *formatDecoder {
	at := slices.IndexFunc(p.Decoders, func(d *formatDecoder) bool { return d.feed == f && d.Atom == atom })
	if at < 0 {
		return nil
	}
	d := p.Decoders[at]
	p.Decoders = slices.Delete(p.Decoders, at, at+1)
	return d
}

// Refusal collects the body of an answer that is no success.
func (r *Reader) Refusal(piece []byte) {
	r.Body = append(r.Body, piece[:min(len(piece), MaxErrorBody-len(r.Body))]...)
}

// Rewrite takes out of rows what the connector itself leaves out.
func (r *Reader) Rewrite(out *decode.Output) error {
	if err := r.Feed.Rows.Rewrite(out); err != nil {
		return &wit.Error{Kind: wit.ErrorInternal, Message: r.What() + ": " + err.Error()}
	}
	return nil
}

// Choose picks the decoder by what the answer starts with: some services don't heed $format or Accept. It waits while
// nothing came.
func (r *Reader) Choose(piece []byte, last bool) bool {
	if len(piece) == 0 && !last {
		return false
	}
	atom := isAtom(piece, r.Feed.Atom)
	if r.Decoder = r.Pool.kept(r.Feed, atom); r.Decoder == nil {
		r.Decoder = &formatDecoder{r.Feed.NewDecoder(piece), r.Feed, atom}
	}
	return true
}

// isAtom reports whether a text begins as Atom, or else JSON; where it shows neither, usual holds.
func isAtom(piece []byte, usual bool) bool {
	switch start := bytes.TrimLeft(piece, " \t\r\n\xef\xbb\xbf"); {
	case len(start) == 0:
	case start[0] == '<':
		return true
	case start[0] == '{' || start[0] == '[':
		return false
	}
	return usual
}

// unreadable is a page that can't be read on. One that ends too early is worth another try, and so is
// one amid which the service failed.
func (r *Reader) unreadable(err error) error {
	f := &wit.Error{Kind: wit.ErrorData, Message: r.What() + ": " + err.Error()} // the host names the request
	var e *decode.PageError
	if errors.As(err, &e) {
		switch {
		case e.HTML:
			f.Kind = wit.ErrorUnauthorized
		case e.Failed, e.Found == "its end":
			f.Kind = wit.ErrorTransient
		}
	}
	return f
}

// What names the set in messages.
func (r *Reader) What() string { return r.Feed.What() }

// Resolve turns a link of the answer into a target on the connector's origin.
func (r *Reader) Resolve(link decode.Link) (string, error) {
	return r.Feed.Resolve(&r.opened.Origin, link, r.Base)
}

// Resolve turns a link of the service into a target on the connector's origin.
func (f *Feed) Resolve(origin *uri.Origin, link decode.Link, base string) (string, error) {
	target, err := origin.Resolve(link.Href, link.Base, base)
	var foreign *uri.ForeignError
	switch {
	case errors.As(err, &foreign):
		return "", fault.Config(config.LinkHosts, f.What()+": "+err.Error())
	case err != nil:
		return "", &wit.Error{Kind: wit.ErrorData, Message: f.What() + ": " + err.Error()}
	}
	return target, nil
}

// NewDecoder is a decoder for the format that a text begins in.
func (f *Feed) NewDecoder(piece []byte) decode.Decoder {
	if isAtom(piece, f.Atom) {
		return decode.NewAtom(f.Layout)
	}
	return decode.NewJSON(f.Layout)
}

// EntityTarget is where the entity with a key predicate is read, in the form of the feed's rows.
func (f *Feed) EntityTarget(predicate string) string {
	options := f.Pages.Options
	if f.Pages.FormatOption != "" {
		options = append([]string{f.Pages.FormatOption}, options...)
	}
	target := f.Service + "/" + f.Address + predicate
	if len(options) > 0 {
		target += "?" + strings.Join(options, "&")
	}
	return f.Query.AppendTo(target)
}

// HeaderValue is the value of the first header with a name, in any case; "" for none.
func HeaderValue(headers []wit.Header, name string) string {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Learn takes over what another reader has learned of the service.
func (r *Reader) Learn(of *Reader) {
	r.Unformatted = of.Unformatted
	if r.guidCase == 0 {
		r.guidCase = of.guidCase
	}
}

// FitKeys writes the encoded keys of a deleted entity as rows have them.
func (r *Reader) FitKeys(raws [][]byte) { r.Feed.fitKeys(raws, r.guidCase) }

// Declare declares the schemas with the page's first rows.
func (r *Reader) Declare(portion *wit.DecodeResult) {
	if len(portion.Rows) > 0 && !r.declared {
		r.declared = true
		portion.Schemas = r.Feed.schemas()
	}
}

// doubt is what a page waits for while it asks for metadata.
type doubt struct {
	// names are paths of the properties that its rows bring and the feed's metadata lack.
	names []string
	// document is what has come of the metadata.
	document []byte
}
