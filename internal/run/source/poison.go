package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

const (
	// maxPoison bounds the rows of a page that may trap the plugin and be skipped; more are the plugin's fault.
	maxPoison      = 20
	maxSearches    = 6 * maxPoison
	maxPageChanges = 3
	searchSteps    = 256
)

// bisection finds the rows of a page that trap the plugin, so that they can be skipped instead of stopping the
// connector for ever (RATIONALE.md P32). The page is requested again and decoded there in smaller pieces, finally byte
// by byte; then the row of that byte is skipped.
type bisection struct {
	// tries counts all attempts, sinceFound those for the current row, pageChanges how often the page answered
	// differently.
	tries       int
	sinceFound  int
	pageChanges int
	// from and to bound the trap, as bytes of the page's own body, step is the size of its pieces.
	from int64
	to   int64
	step int64
	rows []poisonRow
}

// poisonRow is a row that traps the plugin.
type poisonRow struct {
	// at is the byte that trapped it, before the digest of the preceding rows: their bytes may differ in each response.
	at     int64
	before digest
	trap   *plugin.Trap
}

func trapMessage(trap *plugin.Trap) string { return "the plugin breaks on this row: " + trap.Error() }

type trapError struct {
	trap   *plugin.Trap
	from   int64
	to     int64
	before digest
}

func (t *trapError) Error() string { return t.trap.Error() }
func (t *trapError) Unwrap() error { return t.trap }

// narrow decides how the page is decoded next time, and returns false if the row cannot be found.
func (b *bisection) narrow(t *trapError) bool {
	size := t.to - t.from
	n := len(b.rows)
	changed := n > 0 && t.from < b.rows[n-1].at // before a row that is skipped
	outside := b.from < b.to && (t.from < b.from || t.to > b.to)
	b.sinceFound++
	if changed || outside {
		b.restart()
		n = 0
	}
	b.tries++
	if b.tries > maxSearches || b.pageChanges > maxPageChanges {
		return false
	}
	switch {
	case size == 0 && (t.from == 0 || (b.from == 0 && b.to == t.from)):
		return false // there is no body before it, or all of it was fed byte by byte
	case size == 0: // the row had been complete before
		b.from, b.to = max(0, t.from-max(pieceSize, 4*(b.to-b.from))), t.from
		b.step = max(1, (b.to-b.from)/searchSteps)
	case size == 1 && t.from >= b.from && t.to <= b.to:
		if n == maxPoison || (n > 0 && b.rows[n-1].at == t.from) {
			return false // skipping it did not help
		}
		b.rows = append(b.rows, poisonRow{t.from, t.before, t.trap})
		b.from = 0
		b.to = 0
		b.step = 0
		b.sinceFound = 0
	default:
		b.from = t.from
		b.to = t.to
		b.step = max(1, size/searchSteps)
	}
	return true
}

func (b *bisection) restart() {
	*b = bisection{tries: b.tries, sinceFound: b.sinceFound, pageChanges: b.pageChanges + 1}
}

func (b *bisection) pieceEnd(start, end int64) int64 {
	switch {
	case start < b.from:
		end = min(end, b.from)
	case start < b.to:
		end = min(end, b.to, start+b.step)
	}
	for _, row := range b.rows {
		if start < row.at {
			end = min(end, row.at)
		}
	}
	return end
}

func (p *page) decodePiece(ctx context.Context, tag string, status uint16, piece []byte, last bool) error {
	s := p.poisonSearch.bisection
	if tag != "" || s.tries == 0 {
		return p.decodePart(ctx, tag, status, piece, last)
	}
	for {
		if err := p.skipPoison(ctx, status); err != nil {
			return err
		}
		inRange := s.from < s.to && p.poisonSearch.bytesFed >= s.from && p.poisonSearch.bytesFed < s.to
		if inRange && p.poisonSearch.bytesFed == s.from {
			if err := p.decodePart(ctx, wit.TagComplete, status, nil, false); err != nil {
				return err
			}
		}
		from := p.poisonSearch.bytesFed
		keys := p.cursor.keys
		n := s.pieceEnd(from, from+int64(len(piece))) - from
		isLast := n == int64(len(piece))
		err := p.decodePart(ctx, tag, status, piece[:n], last && isLast)
		if err == nil && inRange && !(last && isLast) {
			if err = p.decodePart(ctx, wit.TagComplete, status, nil, false); err != nil {
				if t := new(trapError); errors.As(err, &t) {
					t.from = from
					t.before = keys
				}
			}
		}
		if err != nil || isLast {
			return err
		}
		piece = piece[n:]
	}
}

func (p *page) decodePart(ctx context.Context, tag string, status uint16, piece []byte, last bool) error {
	ownBody := tag == "" || tag == wit.TagComplete || tag == wit.TagSkipRow
	from := p.poisonSearch.bytesFed
	keys := p.cursor.keys
	withRange := func(err error) error {
		if t := new(plugin.Trap); ownBody && errors.As(err, &t) && t.Limit == "" {
			return &trapError{t, from, from + int64(len(piece)), keys}
		}
		return err
	}
	linked, err := p.decodeBounded(ctx, tag, status, piece, last)
	if err != nil {
		return withRange(err)
	}
	if ownBody {
		p.poisonSearch.bytesFed += int64(len(piece))
	}
	return withRange(p.fetchAllLinked(ctx, linked)) // a trap there is of the row with the link
}

func (p *page) decodeBounded(ctx context.Context, tag string, status uint16, piece []byte,
	last bool) ([]wit.LinkedRequest, error) {
	portion, err := p.decode(ctx, tag, status, piece, last)
	if err != nil {
		return nil, err
	}
	if p.linked.total += len(portion.Linked); p.linked.total > maxLinked {
		return nil, &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf(
			"expected at most %d linked requests in a page, found %d", maxLinked, p.linked.total)}
	}
	for i := range portion.Linked {
		p.linked.pendingBytes += transport.RequestBytes(&portion.Linked[i].Request)
	}
	if p.linked.pendingBytes > maxPendingBytes {
		return nil, &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf("expected at most %d bytes of linked "+
			"requests that wait in a page, found %d", maxPendingBytes, p.linked.pendingBytes)}
	}
	return portion.Linked, nil
}

// skipPoison skips the row that was found at the next byte, unless the page has changed.
func (p *page) skipPoison(ctx context.Context, status uint16) error {
	s := p.poisonSearch.bisection
	for i := range s.rows {
		poison := &s.rows[i]
		if poison.at != p.poisonSearch.bytesFed {
			continue
		}
		if err := p.decodePart(ctx, wit.TagComplete, status, nil, false); err != nil {
			return err
		}
		if poison.before != p.cursor.keys {
			p.feed.log.Info("the page on which the plugin failed has changed", "page", p.origin.request)
			s.restart()
			return nil
		}
		if err := p.decodePart(ctx, wit.TagSkipRow, status, nil, false); err != nil {
			return err
		}
		p.poisonSearch.skipping = poison
		return nil
	}
	return nil
}
