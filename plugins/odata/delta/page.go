package delta

import (
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/wit"
)

// Page reads an answer of delta mode.
type Page struct {
	*feed.Reader
	at phase
	// headers are those of the answer that are needed after its body.
	headers []wit.Header
	rows    *arrivals
	// walk reads a page of a rescan, and is nil in other phases.
	walk *feed.Load
	// opening: it answers the request for the first extraction of an ODP service.
	opening bool
	// document: it is the document of one row, as a fault has it.
	document bool
}

// Reading is what it reads by.
func (pg *Page) Reading() *feed.Reader { return pg.Reader }

func (pg *Page) set() Set { return Set{pg.Feed} }

// release hands on the last row of a page of a load with marks.
func (pg *Page) release(portion *wit.DecodeResult, next phase) {
	_, loads := next.(*loading)
	_, rescans := next.(*rescanning)
	portion.Rows, portion.Data = pg.rows.marks.Release(portion.Rows, portion.Data, !loads && !rescans)
	pg.Declare(portion)
}

// goOn ends a page at a phase. Changes are asked for at once after what an earlier start of the connector began: what
// was changed since is in neither, and who reads once expects it.
func (pg *Page) goOn(portion *wit.DecodeResult, next phase) {
	c := next.carried()
	c.resumed = pg.at.carried().resumed
	rest, rests := next.(*resting)
	if rests && c.resumed {
		c.resumed, c.began = false, int(pg.Answer.ReceivedAt)
		next, rests = &changing{course: rest.course, url: rest.link}, false
	}
	fields := fields(next)
	portion.Next, portion.More = &fields, !rests
}

// circle is the fault of a link that was followed before.
func (pg *Page) circle(link string) error {
	return &wit.Error{Kind: wit.ErrorData, Message: pg.What() + ": the service's pages go in a circle: the link " +
		link + " was followed before"}
}

// arrivals is what a page has to keep of its rows and deleted entities while it is read.
type arrivals struct {
	// merged are the portion's rows with those for deleted entities among them, in the order of the page.
	merged []wit.Row
	faults []wit.RowError
	// came and gone are the hashes of the keys of its rows and of its deleted entities.
	came, gone map[uint64]bool
	// first and last are the keys of the first and the last row of a page of a load.
	first, last []byte
	// origin is that of the last row handed on.
	origin uint32
	// asked are the entities that are read by their keys, marks what holds the last row back in a load with marks.
	asked *rereads
	marks *feed.Marks
}

func newArrivals() *arrivals { return &arrivals{asked: &rereads{}, marks: &feed.Marks{}} }

// rereads are the entities of a page that are read by their keys, by number. The page ends when none is left.
type rereads struct {
	open   map[string]*rereadEntity
	number int
	out    decode.Output
}

func (r *rereads) waiting() bool { return len(r.open) > 0 }

// rereadEntity is an entity that is read by its key: one that came both as a row and as deleted, so that the service
// has to say which of the two holds (P22).
type rereadEntity struct {
	keys [][]byte
	// predicate holds the keys in its address, target is what is asked for.
	predicate, target string
	// when it was deleted, if it was; 0: nobody said.
	when    int64
	decoder decode.Decoder
	rows    []wit.Row
	data    []byte
	// body is that of a refusal.
	body []byte
	// entities came. listed: it is asked for as a row of the set. left: it no longer meets the filter. ended: the last
	// piece of its own answer came.
	entities            int
	listed, left, ended bool
}
