package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

const (
	// maxPoison is how many rows of a page may break the plugin and be left out; more are the plugin's fault.
	maxPoison = 20
	// maxSearches is how many times a page is asked for to find them: mostly three times for each.
	maxSearches = 6 * maxPoison
	// maxMoved is how many times a page may answer differently during a search: in other rows, or in where they are.
	maxMoved = 3
	// searchSteps is into how many parts a piece is cut in which the plugin broke.
	searchSteps = 256
)

// search looks for rows of a page on which decode traps (P32). Each time the page is asked for again it is fed in
// smaller pieces there, in the end byte by byte; then the row of that byte is left out.
type search struct {
	// tries are all of them, since those for the row that is searched for, moved how often the page answered
	// differently.
	tries, since, moved int
	// from and to bound where the plugin broke, as bytes of the page's own body, step is how it is cut there.
	from, to, step int64
	// rows are those that were found.
	rows []poison
}

// poison is a row on which decode traps.
type poison struct {
	// at is the byte of the body with which it did, before the digest of the rows before: their bytes need not be the
	// same in each answer, a feed in Atom has the time of the answer in each of its entries.
	at     int64
	before digest
	trap   *plugin.Trap
}

// breaksOn says why a row, or a document of one, is left out.
func breaksOn(trap *plugin.Trap) string { return "the plugin breaks on this row: " + trap.Error() }

// trapped is a trap of decode in a page's own body, or in what a row of it has followed.
type trapped struct {
	trap     *plugin.Trap
	from, to int64
	before   digest
}

func (t *trapped) Error() string { return t.trap.Error() }
func (t *trapped) Unwrap() error { return t.trap }

// narrow says how the page is to be fed next time; false: the row cannot be found.
func (s *search) narrow(t *trapped) bool {
	size := t.to - t.from
	n := len(s.rows)
	short := n > 0 && t.from < s.rows[n-1].at // of the place of a row that was to be left out
	if s.since++; short || s.from < s.to && (t.from < s.from || t.to > s.to) {
		s.differs()
		n = 0
	}
	if s.tries++; s.tries > maxSearches || s.moved > maxMoved {
		return false
	}
	switch {
	case size == 0 && (t.from == 0 || s.from == 0 && s.to == t.from):
		return false // there is no body before it, or all of it was fed byte by byte
	case size == 0: // it came with what had been complete before
		s.from, s.to = max(0, t.from-max(pieceSize, 4*(s.to-s.from))), t.from
		s.step = max(1, (s.to-s.from)/searchSteps)
	case size == 1 && t.from >= s.from && t.to <= s.to:
		if n == maxPoison || n > 0 && s.rows[n-1].at == t.from {
			return false // leaving it out did not help
		}
		s.rows = append(s.rows, poison{t.from, t.before, t.trap})
		s.from, s.to, s.step, s.since = 0, 0, 0, 0
	default:
		s.from, s.to, s.step = t.from, t.to, max(1, size/searchSteps)
	}
	return true
}

// differs begins the search again: the page is another one by now.
func (s *search) differs() { *s = search{tries: s.tries, since: s.since, moved: s.moved + 1} }

// next is where the piece that begins at a byte of the body is to end, at most.
func (s *search) next(at, end int64) int64 {
	switch {
	case at < s.from:
		end = min(end, s.from)
	case at < s.to:
		end = min(end, s.to, at+s.step)
	}
	for _, row := range s.rows {
		if at < row.at {
			end = min(end, row.at)
		}
	}
	return end
}

// put hands a piece of a body to the plugin, and follows what it asks for.
func (p *page) put(ctx context.Context, tag string, status uint16, piece []byte, last bool) error {
	s := p.hunt.search
	if tag != "" || s.tries == 0 {
		return p.putPart(ctx, tag, status, piece, last)
	}
	for {
		if err := p.leaveOut(ctx, status); err != nil {
			return err
		}
		within := s.from < s.to && p.hunt.fed >= s.from && p.hunt.fed < s.to
		if within && p.hunt.fed == s.from {
			if err := p.putPart(ctx, wit.TagComplete, status, nil, false); err != nil {
				return err
			}
		}
		from, before := p.hunt.fed, p.seen.keys
		n := s.next(from, from+int64(len(piece))) - from
		ends := n == int64(len(piece))
		err := p.putPart(ctx, tag, status, piece[:n], last && ends)
		if err == nil && within && !(last && ends) {
			if err = p.putPart(ctx, wit.TagComplete, status, nil, false); err != nil {
				if t := new(trapped); errors.As(err, &t) {
					t.from, t.before = from, before
				}
			}
		}
		if err != nil || ends {
			return err
		}
		piece = piece[n:]
	}
}

// putPart is one call of the plugin, and what it asks for. It knows where in the page it breaks.
func (p *page) putPart(ctx context.Context, tag string, status uint16, piece []byte, last bool) error {
	own := tag == "" || tag == wit.TagComplete || tag == wit.TagSkipRow
	from, before := p.hunt.fed, p.seen.keys
	broke := func(err error) error {
		if t := new(plugin.Trap); own && errors.As(err, &t) && t.Limit == "" {
			return &trapped{t, from, from + int64(len(piece)), before}
		}
		return err
	}
	follows, err := p.part(ctx, tag, status, piece, last)
	if err != nil {
		return broke(err)
	}
	if own {
		p.hunt.fed += int64(len(piece))
	}
	return broke(p.followAll(ctx, follows)) // what breaks it is of the row that wanted it
}

// part is one call of the plugin. It returns what the plugin asks for.
func (p *page) part(ctx context.Context, tag string, status uint16, piece []byte, last bool) ([]wit.LinkedRequest,
	error) {
	portion, err := p.decode(ctx, tag, status, piece, last)
	if err != nil {
		return nil, err
	}
	if p.follows.wanted += len(portion.Linked); p.follows.wanted > maxFollowed {
		return nil, &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf(
			"expected at most %d requests that are to be followed in a page, found %d", maxFollowed, p.follows.wanted)}
	}
	for i := range portion.Linked {
		p.follows.waiting += transport.RequestBytes(&portion.Linked[i].Request)
	}
	if p.follows.waiting > maxWaitingBytes {
		return nil, &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf("expected at most %d bytes of requests that "+
			"wait to be followed in a page, found %d", maxWaitingBytes, p.follows.waiting)}
	}
	return portion.Linked, nil
}

// leaveOut has the row left out that was found to begin or go on with the next byte, unless the page is another one by
// now.
func (p *page) leaveOut(ctx context.Context, status uint16) error {
	s := p.hunt.search
	for i := range s.rows {
		row := &s.rows[i]
		if row.at != p.hunt.fed {
			continue
		}
		if err := p.putPart(ctx, wit.TagComplete, status, nil, false); err != nil {
			return err
		}
		if row.before != p.seen.keys {
			p.feed.log.Info("the page in which the plugin broke answers differently now", "page", p.of.what)
			s.differs()
			return nil
		}
		if err := p.putPart(ctx, wit.TagSkipRow, status, nil, false); err != nil {
			return err
		}
		p.hunt.left = row
		return nil
	}
	return nil
}
