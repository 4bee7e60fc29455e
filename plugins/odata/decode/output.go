package decode

import "github.com/culvert-project/culvert/wit"

// Output collects what a decoder produces for a piece of a page. Its slices keep their memory over [Output.Reset].
type Output struct {
	// Rows are in the order of the page. RowIndex counts rows, tombstones, links and failed rows from 0. Topic is 0;
	// partition, offset and timestamp are -1; there are no headers.
	Rows []wit.Row
	// Data holds keys and values of the rows, and the raw text of failed rows.
	Data []byte
	// RowErrors are rows that could not be read. Each raw text is a document of its own that a decoder of the same
	// schema accepts.
	RowErrors []wit.RowError
	// Skipped are the row indexes of faults that the host requested with [wit.TagSkipRow].
	Skipped    []uint32
	Tombstones []Tombstone
	// Links are added and deleted links of a delta feed. Their row indexes count like rows.
	Links []ChangedLink
	// Partial are the row indexes of rows that lack columns, see [JSON4Options].
	Partial []uint32
	// Tracked holds len(RowSchema.Tracked) spans for each row.
	Tracked []Span
	// NestedPages has at most one further page of an expanded feed, which the decoder needs to continue.
	NestedPages []NestedPageRequest
	// Page is set by each call.
	Page Page
}

// Reset empties the output for the next call and keeps its memory.
func (o *Output) Reset() {
	o.Rows = o.Rows[:0]
	o.Data = o.Data[:0]
	o.RowErrors = o.RowErrors[:0]
	o.Tombstones = o.Tombstones[:0]
	o.Links = o.Links[:0]
	o.Partial = o.Partial[:0]
	o.Tracked = o.Tracked[:0]
	o.NestedPages = o.NestedPages[:0]
	o.Skipped = o.Skipped[:0]
	o.Page = Page{}
}

// Span is a part of [Output.Data]. It includes the union branch of an optional column.
type Span struct{ Start, Size uint32 }

// Tombstone is a deleted entry of a delta feed.
type Tombstone struct {
	// RowIndex is the entry's row index in the page.
	RowIndex uint32
	Ref      string // the entry's ID, a URL with a key predicate, which may have no host; empty if Keys has the key
	When     int64  // time of deletion in milliseconds since 1970, if Timed
	Timed    bool   // the entry has a valid time
	// Reason is "deleted", "changed" (the entity is no longer part of the result) or, if unknown, empty.
	Reason string
	// Keys are the values of the key properties, in the order of [RowSchema.Keys], if there is no ID.
	Keys []TombstoneKey
}

// TombstoneKey is a key property of a deleted entry, whose text [AppendText] accepts.
type TombstoneKey struct {
	Name string
	Text string
}

// ChangedLink is an added or deleted link of a delta feed.
type ChangedLink struct {
	RowIndex     uint32 // in the page
	Source       string // the ID of the entity whose link it is, a URL with a key predicate
	Relationship string // the navigation property
}

// Link is a link as the service wrote it, with entities and escapes resolved, and the `xml:base` in force.
type Link struct{ Href, Base string }

// NestedPageRequest requests a further page of an expanded feed. Pass its body to [Decoder.Feed] with its tag.
type NestedPageRequest struct {
	Tag  string
	Link Link
	// Row is the index of the row that contains the feed.
	Row uint32
	// Property is the path of the expanded navigation property from the row, `Items/Parts`.
	Property string
}

// Page is the metadata of a page.
type Page struct {
	Next  Link // of the next page; an empty Href means no link
	Delta Link // of later changes; an empty Href means no link
	// Count is the inline count, -1 if it is missing.
	Count int64
	// Rows counts rows, tombstones, links and failed rows so far.
	Rows uint32
	// Unknown are paths of properties that the row schema neither has nor ignores, each once.
	Unknown []string
	// LongNumber is the path and the text of the first number that the service may have rounded, see [JSON4Options].
	LongNumber string
	Done       bool // the page was read to its end
}

// Decoder reads one page after another.
type Decoder interface {
	// Write reads the next piece of the page's own body. After an error only [Decoder.Reset] may be called.
	Write(piece []byte, last bool, out *Output) error
	// Feed reads a piece of the response to the [NestedPageRequest] with that tag; an empty tag is the page itself.
	Feed(tag string, piece []byte, last bool, out *Output) error
	// Reset prepares for another page of the same schema, and keeps memory.
	Reset()
}
