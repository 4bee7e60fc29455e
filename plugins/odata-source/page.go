package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// Reader reads an answer piece by piece, as far as that is the same for all answers.
type Reader struct {
	paging.Page
	pool   *Pool
	opened *Context
	feed   *Feed
	// cases are those of the GUIDs in keys, see guids.go.
	cases []byte
	// refused: the service refuses $format, see format.go.
	refused bool
	// expected is memory for the end of a row's address.
	expected []byte

	decoder decode.Decoder
	atom    bool
	// single: the answer is one entity, and no page of rows.
	single bool
	// exempt tells of a row whether it need not meet the filter, nil: all must.
	exempt func(row int) bool
	// doubt is what the rows of its last piece wait for.
	doubt doubt
	// ended: the page's last piece came. declared: the schemas were told; each page tells them anew, so that an
	// abandoned one takes nothing with it.
	ended, declared bool
}

// Pool has readers and decoders that wait for the next answer: the former keep their memory, the latter are of a feed
// and a format.
type Pool struct {
	spare    []*Reader
	decoders []spareDecoder
}

// spareDecoder is one that has read a page to its end.
type spareDecoder struct {
	feed    *Feed
	atom    bool
	decoder decode.Decoder
}

// maxSpare is how many readers and how many decoders a pool keeps: a decoder keeps some 90 KB, and a connector may have
// hundreds of feeds.
const maxSpare = 8

// maxErrorBody is how much of an error document is read, in bytes.
const maxErrorBody = 256 << 10

// begin readies a reader for an answer, whose keys have GUIDs in these cases.
func (p *Pool) begin(o *Context, f *Feed, response *wit.Response, cases []byte) *Reader {
	r := &Reader{}
	if n := len(p.spare); n > 0 {
		r, p.spare = p.spare[n-1], p.spare[:n-1]
	}
	r.pool, r.opened, r.feed, r.ended, r.declared = p, o, f, false, false
	r.refused, r.single, r.exempt, r.doubt = false, false, nil, doubt{}
	r.Set, r.Origin = &f.pages, &o.origin
	r.Answer = wit.Response{Status: response.Status, At: response.At}
	r.Base = string([]byte(response.Target))
	r.beginGuids(cases)
	return r
}

// end ends the reading of an answer. Its decoder, unless it failed, and its memory wait for the next one.
func (p *Pool) end(r *Reader, sound bool) {
	if sound && r.decoder != nil {
		r.decoder.Reset()
		p.keep(spareDecoder{r.feed, r.atom, r.decoder})
	}
	r.decoder, r.opened, r.feed = nil, nil, nil
	if len(p.spare) < maxSpare {
		r.Reset()
		p.spare = append(p.spare, r)
	}
}

// keep keeps a decoder in the place of the one that has waited longest, where there are enough.
func (p *Pool) keep(d spareDecoder) {
	if len(p.decoders) == maxSpare {
		p.decoders = slices.Delete(p.decoders, 0, 1)
	}
	p.decoders = append(p.decoders, d)
}

// kept is a spare decoder of a feed and format, nil if there is none.
func (p *Pool) kept(f *Feed, atom bool) decode.Decoder {
	at := slices.IndexFunc(p.decoders, func(d spareDecoder) bool { return d.feed == f && d.atom == atom })
	if at < 0 {
		return nil
	}
	d := p.decoders[at].decoder
	p.decoders = slices.Delete(p.decoders, at, at+1)
	return d
}

// refusal collects the body of an answer that is no success.
func (r *Reader) refusal(piece []byte) {
	r.Body = append(r.Body, piece[:min(len(piece), maxErrorBody-len(r.Body))]...)
}

// read makes rows of a piece, those that were asked for. waits: there are none yet, or they wait for metadata.
func (r *Reader) read(tag string, piece []byte, last bool, portion *wit.Portion) (waits bool, err error) {
	if r.decoder == nil && !r.choose(piece, last) {
		return true, nil
	}
	r.ended = r.ended || tag == "" && last
	return r.take(r.decoder, &r.Out, part{"", tag, piece, last}, portion)
}

// seal puts into a portion what all of a feed's have: the offset's fields that are carried from page to page, and the
// partition.
func (r *Reader) seal(portion *wit.Portion) {
	r.endGuids(portion)
	portion.Next = withFormat(r.refused, portion.Next)
	if to := r.feed.toPartition; to >= 0 {
		for i := range portion.Rows {
			portion.Rows[i].Partition = int32(to)
		}
	}
}

// filtered looks whether the rows are those that were asked for, and takes out of them what the connector itself leaves
// out.
func (r *Reader) filtered() error {
	if !r.single {
		r.learnGuids(&r.Out)
	}
	if err := r.addressed(&r.Out); err != nil {
		return err
	}
	if f := r.feed.rows.Check(&r.Out, r.exempt); f != nil {
		f.Message = r.What() + ": " + f.Message
		return f
	}
	return r.rewrite(&r.Out)
}

// rewrite takes out of rows what the connector itself leaves out.
func (r *Reader) rewrite(out *decode.Output) error {
	if err := r.feed.rows.Rewrite(out); err != nil {
		return &wit.Fault{Kind: wit.FaultInternal, Message: r.What() + ": " + err.Error()}
	}
	return nil
}

// choose picks the decoder by what the answer starts with: some services don't heed $format or Accept. It waits while
// nothing came.
func (r *Reader) choose(piece []byte, last bool) bool {
	if len(piece) == 0 && !last {
		return false
	}
	atom := isAtom(piece, r.feed.atom)
	r.atom = atom
	if r.decoder = r.pool.kept(r.feed, atom); r.decoder != nil {
		return true
	}
	if atom {
		r.decoder = decode.NewAtom(r.feed.layout, decode.Limits{})
	} else {
		r.decoder = decode.NewJSON(r.feed.layout, decode.Limits{})
	}
	return true
}

// isAtom tells whether a text begins as Atom, or else JSON; where it shows neither, usual holds.
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
	f := &wit.Fault{Kind: wit.FaultData, Message: r.What() + ": " + err.Error()} // the host names the request
	var e *decode.PageError
	if errors.As(err, &e) {
		switch {
		case e.HTML:
			f.Kind = wit.FaultUnauthorized
		case e.Failed, e.Found == "its end":
			f.Kind = wit.FaultTransient
		}
	}
	return f
}

// followed has further pages of expanded feeds asked for.
func (r *Reader) followed(portion *wit.Portion) error {
	for _, follow := range r.Out.Follow {
		target, err := r.Resolve(follow.Link)
		if err != nil {
			return err
		}
		portion.Follow = append(portion.Follow, wit.Follow{Request: r.feed.request(follow.Tag, target)})
	}
	return nil
}

// newDecoder is a decoder for the format that a text begins in.
func (f *Feed) newDecoder(piece []byte) decode.Decoder {
	if isAtom(piece, f.atom) {
		return decode.NewAtom(f.layout, decode.Limits{})
	}
	return decode.NewJSON(f.layout, decode.Limits{})
}

// entityTarget is where the entity with a key predicate is read, in the form of the feed's rows.
func (f *Feed) entityTarget(predicate string) string {
	options := f.pages.Options
	if f.pages.FormatOption != "" {
		options = append([]string{f.pages.FormatOption}, options...)
	}
	target := f.service + "/" + f.address + predicate
	if len(options) > 0 {
		target += "?" + strings.Join(options, "&")
	}
	return f.query.On(target)
}

func header(headers []wit.Header, name string) string {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// declare tells the schemas with the page's first rows.
func (r *Reader) declare(portion *wit.Portion) {
	if len(portion.Rows) > 0 && !r.declared {
		r.declared = true
		portion.Schemas = r.feed.schemas()
	}
}
