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
	maxSearches    = 6 * maxPoison // attempts to read the page
	maxPageChanges = 3             // how often the page may be another one during the search
	searchSteps    = 256           // pieces of the range with the trap at each attempt
)

// bisection finds the rows of a page that trap the plugin, so that they can be skipped instead of stopping the
// connector for ever (RATIONALE.md P32). The page is requested again and decoded there in smaller pieces, finally byte
// by byte; then the row of that byte is skipped.
type bisection struct {
	// tries counts all attempts, sinceFound the attempts since the last row was found, pageChanges how often the page
	// was different.
	tries       int
	sinceFound  int
	pageChanges int
	// from and to bound the trap, as offsets in the page's own body; step is the size of the pieces between them.
	from int64
	to   int64
	step int64
	rows []poisonRow
}

// poisonRow is a row that traps the plugin.
type poisonRow struct {
	// offset is the byte that traps the plugin. keysBefore is the digest of the preceding rows, whose bytes may differ
	// in each response.
	offset     int64
	keysBefore digest
	trap       *plugin.Trap
}

func trapMessage(trap *plugin.Trap) string { return "the plugin breaks on this row: " + trap.Error() }

// trapError is a trap while the bytes between two offsets of a page were decoded.
type trapError struct {
	trap       *plugin.Trap
	from       int64
	to         int64
	keysBefore digest
}

func (t *trapError) Error() string { return t.trap.Error() }
func (t *trapError) Unwrap() error { return t.trap }

// narrow decides how the page is decoded the next time. It returns false if the row cannot be found.
func (b *bisection) narrow(trap *trapError) bool {
	size := trap.to - trap.from
	n := len(b.rows)
	isChanged := n > 0 && trap.from < b.rows[n-1].offset // before a row that is skipped
	isOutside := b.from < b.to && (trap.from < b.from || trap.to > b.to)
	b.sinceFound++
	if isChanged || isOutside { // the service returned another page
		b.restart()
		n = 0
	}
	b.tries++
	if b.tries > maxSearches || b.pageChanges > maxPageChanges {
		return false
	}
	switch {
	case size == 0 && (trap.from == 0 || (b.from == 0 && b.to == trap.from)):
		return false // no body precedes the trap, or all of it was decoded byte by byte
	case size == 0: // the trap is of a row that was complete: search before it, each time in a larger range
		b.from = max(0, trap.from-max(pieceSize, 4*(b.to-b.from)))
		b.to = trap.from
		b.step = max(1, (b.to-b.from)/searchSteps)
	case size == 1 && trap.from >= b.from && trap.to <= b.to:
		if n == maxPoison || (n > 0 && b.rows[n-1].offset == trap.from) {
			return false // too many rows, or skipping this one did not help
		}
		b.rows = append(b.rows, poisonRow{trap.from, trap.keysBefore, trap.trap})
		b.from = 0
		b.to = 0
		b.step = 0
		b.sinceFound = 0
	default:
		b.from = trap.from
		b.to = trap.to
		b.step = max(1, size/searchSteps)
	}
	return true
}

// restart begins a new search, on a page that was different.
func (b *bisection) restart() {
	*b = bisection{tries: b.tries, sinceFound: b.sinceFound, pageChanges: b.pageChanges + 1}
}

// pieceEnd returns the end of the piece from start that is decoded at once, at most end.
func (b *bisection) pieceEnd(start, end int64) int64 {
	switch {
	case start < b.from:
		end = min(end, b.from)
	case start < b.to:
		end = min(end, b.to, start+b.step)
	}
	for _, row := range b.rows {
		if start < row.offset {
			end = min(end, row.offset)
		}
	}
	return end
}

// decodePiece decodes a piece of a response; in a search, in steps, without the rows that were found. Around each step
// [wit.TagComplete] decodes the rows that are complete, so that a trap belongs to the bytes of that step.
func (p *page) decodePiece(ctx context.Context, tag string, status uint16, piece []byte, isLast bool) error {
	s := p.poisonSearch.bisection
	if tag != "" || s.tries == 0 {
		return p.decodePart(ctx, tag, status, piece, isLast)
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
		isFixed := n == int64(len(piece))
		err := p.decodePart(ctx, tag, status, piece[:n], isLast && isFixed)
		if err == nil && inRange && !(isLast && isFixed) {
			if err = p.decodePart(ctx, wit.TagComplete, status, nil, false); err != nil {
				if t := new(trapError); errors.As(err, &t) {
					t.from = from
					t.keysBefore = keys
				}
			}
		}
		if err != nil || isFixed {
			return err
		}
		piece = piece[n:]
	}
}

// decodePart decodes a piece at once, with its linked requests. A trap becomes a trapError with the range of the piece.
func (p *page) decodePart(ctx context.Context, tag string, status uint16, piece []byte, isLast bool) error {
	ownBody := tag == "" || tag == wit.TagComplete || tag == wit.TagSkipRow
	from := p.poisonSearch.bytesFed
	keys := p.cursor.keys
	withRange := func(err error) error {
		if t := new(plugin.Trap); ownBody && errors.As(err, &t) && t.Limit == "" {
			return &trapError{t, from, from + int64(len(piece)), keys}
		}
		return err
	}
	linked, err := p.decodeBounded(ctx, tag, status, piece, isLast)
	if err != nil {
		return withRange(err)
	}
	if ownBody {
		p.poisonSearch.bytesFed += int64(len(piece))
	}
	return withRange(p.fetchAllLinked(ctx, linked)) // a trap in a linked response belongs to the row with the link
}

func (p *page) decodeBounded(ctx context.Context, tag string, status uint16, piece []byte,
	isLast bool) ([]wit.LinkedRequest, error) {
	portion, err := p.decode(ctx, tag, status, piece, isLast)
	if err != nil {
		return nil, err
	}
	p.linked.total += len(portion.Linked)
	if p.linked.total > maxLinked {
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
		if poison.offset != p.poisonSearch.bytesFed {
			continue
		}
		if err := p.decodePart(ctx, wit.TagComplete, status, nil, false); err != nil {
			return err
		}
		if poison.keysBefore != p.cursor.keys {
			p.feed.log.Info("the page on which the plugin failed has changed", "page", p.origin.request)
			s.restart()
			return nil
		}
		if err := p.decodePart(ctx, wit.TagSkipRow, status, nil, false); err != nil {
			return err
		}
		p.poisonSearch.skipped = poison
		return nil
	}
	return nil
}
