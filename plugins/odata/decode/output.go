package decode

import "github.com/culvert-project/culvert/wit"

// Output collects what a decoder makes of a piece. Its slices grow and are kept by [Output.Reset]: a warm one costs
// nothing.
type Output struct {
	// Rows made, in the order of the page. Origin counts everything in the page from 0: rows, tombstones, faulty rows.
	// Topic is 0, partition, offset and timestamp are -1, headers absent.
	Rows []wit.Row
	// Data is the arena of rows (keys and values) and of the faults' raw rows.
	Data []byte
	// Faults are rows that could not be read; raw is the row as a document of its own, which a decoder of the same
	// layout takes.
	Faults []wit.RowError
	// Skipped are the origins of those faults that are none of the row's: the host had it left out.
	Skipped []uint32
	// Tombstones are deleted entries.
	Tombstones []Tombstone
	// Tracked holds len(Layout.Watch) spans for each row of Rows.
	Tracked []Span
	// NestedPages are pages of expanded feeds that the decoder needs before it goes on; at most one at a time.
	NestedPages []NestedPageRequest
	// Page is what is known of the page so far; set by each call.
	Page Page
}

// Reset empties the output for the next call, keeping its memory.
func (o *Output) Reset() {
	o.Rows, o.Data, o.Faults, o.Tombstones = o.Rows[:0], o.Data[:0], o.Faults[:0], o.Tombstones[:0]
	o.Tracked, o.NestedPages, o.Skipped, o.Page = o.Tracked[:0], o.NestedPages[:0], o.Skipped[:0], Page{}
}

// Span is a place in [Output.Data], the branch number of an optional column included.
type Span struct{ Start, Size uint32 }

// Tombstone is a deleted entry of a delta feed.
type Tombstone struct {
	// Origin is its number in the page.
	Origin uint32
	// Ref is the deleted entry's id, an address with a key predicate.
	Ref string
	// When it was deleted, in milliseconds since 1970; valid if Timed.
	When  int64
	Timed bool
}

// Link is a link as the service wrote it, entities and escapes resolved, and the `xml:base` in force ("" for none).
type Link struct{ Href, Base string }

// Follow asks for a further page of an expanded feed: fetch it and hand it to [Decoder.Feed] under its tag.
type NestedPageRequest struct {
	Tag  string
	Link Link
}

// Page is what a page says about itself.
type Page struct {
	// Next and Delta links; Href is "" where there is none.
	Next, Delta Link
	// Count is the inline count, -1 where there is none.
	Count int64
	// Rows, tombstones and faults so far.
	Rows uint32
	// Unknown are paths of properties that neither the layout's columns nor its Known have, each once.
	Unknown []string
	// Done: the page was read to its end.
	Done bool
}

// Decoder reads one page after another.
type Decoder interface {
	// Write takes the next piece of the page's own body. After an error the decoder is good for [Decoder.Reset] only.
	Write(piece []byte, last bool, out *Output) error
	// Feed takes a piece of the answer to the [NestedPages] with that tag; the tag "" is the page itself.
	Feed(tag string, piece []byte, last bool, out *Output) error
	// Reset readies the decoder for another page of its layout, keeping memory and what it has learned.
	Reset()
}
