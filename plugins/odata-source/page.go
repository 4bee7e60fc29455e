package main

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// page is an answer that is being read.
type page struct {
	paging.Page
	pages  *pages
	opened *decodedContext
	feed   *feed
	// delta is where delta mode stands, headers are those of the answer that it goes by.
	delta   deltaPosition
	headers []wit.Header
	changes changes
	// cases are those of the GUIDs in keys, see guids.go.
	cases []byte
	// refused: the service refuses $format, see format.go.
	refused bool
	// expected is memory for the end of a row's address.
	expected []byte

	decoder decode.Decoder
	atom    bool
	// named is the key predicate of the one entity that is read, "" for pages; entities came of it.
	named    string
	entities int
	// toldDeleted: the notification says that the entity was deleted.
	toldDeleted bool
	// lone: it is the document of one row, as a fault has it.
	lone bool
	// doubt is what the rows of its last piece wait for.
	doubt doubt
	// store is what SAP's notification store came to, nil for other pages.
	store *stored
	// ended: the page's last piece came. declared: the schemas were told; each page tells them anew, so that an
	// abandoned one takes nothing with it.
	ended, declared bool
}

// pages by number; spare ones keep their memory, spare decoders wait for the next page of their feed and format.
type pages struct {
	open     map[uint32]*page
	spare    []*page
	decoders []spareDecoder
	last     uint32
}

// spareDecoder is one that has read a page to its end.
type spareDecoder struct {
	feed    *feed
	atom    bool
	decoder decode.Decoder
}

// maxSpare is how many pages and how many decoders an instance keeps for the next page: a decoder keeps some 90 KB, and
// a connector may have hundreds of feeds.
const maxSpare = 8

// maxErrorBody is how much of an error document is read, in bytes.
const maxErrorBody = 256 << 10

func (p *plugin) Begin(context []byte, number uint32, position *[]wit.Field, response wit.Response) (uint32, error) {
	o, f, err := p.contexts.feed(context, number)
	if err != nil {
		return 0, err
	}
	if position == nil && response.Tag == "" {
		return p.beginLone(o, f, &response), nil
	}
	refused := position != nil && unformatted(*position)
	if position != nil {
		f.useFormat(refused)
	}
	if f.tracking.on {
		n, err := p.beginDelta(o, f, position, response)
		if err == nil {
			p.pages.open[n].refused = refused
		}
		return n, err
	}
	var at *paging.Position
	if position == nil && strings.HasPrefix(response.Tag, storeTag) {
		return p.beginStore(o, f, &response)
	}
	if position == nil {
		return p.beginNamed(o, f, &response)
	}
	if at, err = paging.Read(*position); err != nil {
		return 0, err
	}
	if at == nil {
		return 0, &wit.Fault{Kind: wit.FaultInternal, Message: "a page without its position"}
	}
	pg, n := p.pages.begin(o, f, &response)
	pg.At, pg.refused = *at, refused
	pg.beginGuids(casesOf(*position))
	pg.Begin()
	if pg.Base == "" {
		pg.Base = f.pages.PageURL(at)
	}
	return n, nil
}

// begin opens a page for an answer.
func (ps *pages) begin(o *decodedContext, f *feed, response *wit.Response) (*page, uint32) {
	pg := ps.take()
	pg.pages, pg.opened, pg.feed, pg.ended, pg.declared = ps, o, f, false, false
	pg.named, pg.entities, pg.store, pg.lone, pg.refused = "", 0, nil, false, false
	pg.toldDeleted, pg.doubt = false, doubt{}
	pg.Set, pg.Origin = &f.pages, &o.origin
	pg.Answer = wit.Response{Status: response.Status, At: response.At}
	pg.Base = string([]byte(response.Target))
	pg.beginGuids(nil)
	ps.last++
	ps.open[ps.last] = pg
	return pg, ps.last
}

func (ps *pages) take() *page {
	if ps.open == nil {
		ps.open = map[uint32]*page{}
	}
	if n := len(ps.spare); n > 0 {
		pg := ps.spare[n-1]
		ps.spare = ps.spare[:n-1]
		return pg
	}
	return &page{}
}

// drop ends a page. Its decoder, unless it failed, and its memory wait for the next one.
func (ps *pages) drop(number uint32, sound bool) {
	pg := ps.open[number]
	if pg == nil {
		return
	}
	delete(ps.open, number)
	if sound && pg.decoder != nil {
		pg.decoder.Reset()
		ps.keep(spareDecoder{pg.feed, pg.atom, pg.decoder})
	}
	pg.decoder, pg.opened, pg.feed = nil, nil, nil
	if len(ps.spare) < maxSpare {
		pg.Reset()
		ps.spare = append(ps.spare, pg)
	}
}

// keep keeps a decoder in the place of the one that has waited longest, where there are enough.
func (ps *pages) keep(d spareDecoder) {
	if len(ps.decoders) == maxSpare {
		ps.decoders = slices.Delete(ps.decoders, 0, 1)
	}
	ps.decoders = append(ps.decoders, d)
}

// kept is a spare decoder of a feed and format, nil if there is none.
func (ps *pages) kept(f *feed, atom bool) decode.Decoder {
	at := slices.IndexFunc(ps.decoders, func(d spareDecoder) bool { return d.feed == f && d.atom == atom })
	if at < 0 {
		return nil
	}
	d := ps.decoders[at].decoder
	ps.decoders = slices.Delete(ps.decoders, at, at+1)
	return d
}

func (p *plugin) Abandon(number uint32) { p.pages.drop(number, false) }

// Decode reads a piece. Rows point into memory that the next call uses again.
func (p *plugin) Decode(number uint32, tag string, status uint16, piece []byte, last bool) (wit.Portion, error) {
	pg := p.pages.open[number]
	if pg == nil {
		return wit.Portion{}, &wit.Fault{Kind: wit.FaultInternal,
			Message: "no page " + strconv.FormatUint(uint64(number), 10) + " is open"}
	}
	read := pg.decode
	switch {
	case pg.lone:
		read = pg.decodeNamed
	case pg.feed.tracking.on:
		read = pg.decodeDelta
	case pg.store != nil:
		read = pg.decodeStore
	case pg.named != "":
		read = pg.decodeNamed
	}
	portion, ended, err := read(tag, status, piece, last)
	pg.endGuids(&portion)
	portion.Next = withFormat(pg.refused, portion.Next)
	if to := pg.feed.toPartition; to >= 0 {
		for i := range portion.Rows {
			portion.Rows[i].Partition = int32(to)
		}
	}
	if err != nil || ended {
		p.pages.drop(number, err == nil)
	}
	return portion, err
}

func (pg *page) decode(tag string, _ uint16, piece []byte, last bool) (portion wit.Portion, ended bool, err error) {
	if pg.Answer.Status < 200 || pg.Answer.Status > 299 {
		pg.Body = append(pg.Body, piece[:min(len(piece), maxErrorBody-len(pg.Body))]...)
		if !last {
			return portion, false, nil
		}
		if pg.refusesFormat(pg.PageURL(&pg.At)) {
			next := pg.At.At(withoutFormat(pg.At.URL())).Fields()
			return wit.Portion{Next: &next, More: true}, true, nil
		}
		portion, err = pg.Refused()
		return portion, true, err
	}
	if pg.decoder == nil {
		if !pg.choose(piece, last) {
			return portion, false, nil
		}
		if f := pg.otherSet(piece); f != nil {
			return portion, true, f
		}
	}
	pg.ended = pg.ended || tag == "" && last
	if waits, err := pg.take(pg.decoder, &pg.Out, part{"", tag, piece, last}, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if len(pg.Out.Tombstones) > 0 {
		return portion, true, &wit.Fault{Kind: wit.FaultUnsupported, Message: pg.What() +
			": the feed holds deleted entries, which only delta mode reads: " + pg.feed.setting(nameTrackChanges) +
			" = 1"}
	}
	if err := pg.filtered(); err != nil {
		return portion, true, err
	}
	portion, err = pg.portion()
	if err != nil {
		return wit.Portion{}, true, err
	}
	if ended = pg.ended && pg.Out.Page.Done; ended {
		err = pg.finish(&portion)
	}
	return portion, ended, err
}

// filtered looks whether the rows are those that were asked for, and takes out of them what the connector itself leaves
// out.
func (pg *page) filtered() error {
	if pg.named == "" && !pg.lone {
		pg.learnGuids(&pg.Out)
	}
	if err := pg.addressed(&pg.Out); err != nil {
		return err
	}
	if f := pg.feed.rows.Check(&pg.Out, pg.unfiltered()); f != nil {
		f.Message = pg.What() + ": " + f.Message
		return f
	}
	return pg.rewrite(&pg.Out)
}

// rewrite takes out of rows what the connector itself leaves out.
func (pg *page) rewrite(out *decode.Output) error {
	if err := pg.feed.rows.Rewrite(out); err != nil {
		return &wit.Fault{Kind: wit.FaultInternal, Message: pg.What() + ": " + err.Error()}
	}
	return nil
}

// choose picks the decoder by what the answer starts with: some services don't heed $format or Accept. It waits while
// nothing came.
func (pg *page) choose(piece []byte, last bool) bool {
	if len(piece) == 0 && !last {
		return false
	}
	atom := isAtom(piece, pg.feed.atom)
	pg.atom = atom
	if pg.decoder = pg.pages.kept(pg.feed, atom); pg.decoder != nil {
		return true
	}
	if atom {
		pg.decoder = decode.NewAtom(pg.feed.layout, decode.Limits{})
	} else {
		pg.decoder = decode.NewJSON(pg.feed.layout, decode.Limits{})
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

// portion is what the piece came to.
func (pg *page) portion() (wit.Portion, error) {
	rows, keep := pg.Look()
	portion := wit.Portion{}
	if keep {
		pg.Out.Data = pg.fitRows(rows, pg.Out.Data)
		pg.Out.Data = pg.feed.tellAll(rows, pg.Out.Data, changeRead)
		portion = wit.Portion{Rows: rows, Data: pg.Out.Data, Faults: pg.Out.Faults}
	}
	if len(rows) > 0 && !pg.declared {
		pg.declared = true
		portion.Schemas = pg.feed.schemas()
	}
	for _, follow := range pg.Out.Follow {
		target, err := pg.Resolve(follow.Link)
		if err != nil {
			return portion, err
		}
		portion.Follow = append(portion.Follow, wit.Follow{Request: pg.feed.request(follow.Tag, target)})
	}
	return portion, nil
}

// unreadable is a page that can't be read on. One that ends too early is worth another try, and so is
// one amid which the service failed.
func (pg *page) unreadable(err error) error {
	f := &wit.Fault{Kind: wit.FaultData, Message: pg.What() + ": " + err.Error()} // the host names the request
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

// finish says where to go on behind a page that was read to its end.
func (pg *page) finish(portion *wit.Portion) error {
	next, err := pg.After()
	if err != nil {
		return err
	}
	fields := next.Fields()
	done, _ := next.Done()
	if done {
		pg.settleGuids()
	}
	portion.Next, portion.More = &fields, !done
	return nil
}
