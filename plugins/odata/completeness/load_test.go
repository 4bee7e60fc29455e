package completeness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

const now = 1_700_000_000_000 // milliseconds since 1970

// reader reads services of one type with one configuration.
type reader struct {
	pool    feedreader.Pool
	context *feedreader.Context
	feed    *feedreader.Feed
}

// readers has the readers by their configurations.
type readers map[string]*reader

// find returns the reader for a description.
func (rs readers) find(t testing.TB, d *description) *reader {
	name := strings.Join([]string{d[keyType], d[pagingMode], d[countMode], d[deliveryMode], d[notShown],
		d[trackingToken], d[version], d[changedRows]}, "/")
	r := rs[name]
	if r == nil {
		r = newReader(t, d)
		rs[name] = r
	}
	return r
}

func newReader(t testing.TB, d *description) *reader {
	t.Helper()
	settings := []string{"service=/s", "entityset=X", "topic=t", "paging=" + d[pagingMode]}
	if d[countMode] == "off" {
		settings = append(settings, "count=none")
	}
	if d[deliveryMode] == "exactly once" {
		settings = append(settings, "incomplete.load=fail")
	}
	if d[notShown] == "under expand" || d[changedRows] == "with links, expanded" {
		settings = append(settings, "expand=E")
	}
	if d.tracks() {
		settings = append(settings, "track-changes=1", "exec-period=60", "deletes=tombstone")
	}
	w := wireOf(d)
	if w == v2Wire {
		settings = append(settings, "format=json")
	}
	for i := range settings {
		settings[i] = "sap.odata#00." + settings[i]
	}
	context, sets := feedreader.NewContext(w.class, configtest.Source(settings...))
	model, err := edm.Parse([]byte(d.metadata(w)), w.class.Dialect)
	require.NoError(t, err)
	feed, err := feedreader.New(sets[0], model)
	require.NoError(t, err)
	return &reader{context: context, feed: feed}
}

func (d *description) isODP() bool { return strings.HasPrefix(d[trackingToken], "ODP") }

func (d *description) tracks() bool { return d[trackingToken] != "none" }

// metadata returns the service's $metadata in a form.
func (d *description) metadata(w *wire) string {
	key := map[string]string{"K": "Int32"}
	names := []string{"K"}
	switch d[keyType] {
	case "texts", "mixed case":
		key["K"] = "String"
	case "two components":
		names = []string{"A", "B"}
		key["A"] = "Int32"
		key["B"] = "String"
	}
	references := ""
	properties := ""
	for _, name := range names {
		references += `<PropertyRef Name="` + name + `"/>`
		properties += fmt.Sprintf(`<Property Name="%s" Type="Edm.%s" Nullable="%v"/>`, name, key[name],
			d[keyType] == "nullable")
	}
	more := ""
	if d.isODP() {
		more = `<EntitySet Name="DeltaLinksOfX" EntityType="N.T"/><FunctionImport Name="SubscribedToX"/>` +
			`<FunctionImport Name="TerminateDeltasForX"/>`
	}
	return fmt.Sprintf(w.schema, references, properties, more)
}

// result is the end of a load.
type result struct {
	verdict  string // "failed" after an error
	err      error
	arrived  map[int]int // how often each row arrived, by its id
	requests []string
	missing  []int
	doubled  int // rows that arrived more than once
	// isEvident means that the service returned a missing row although the load ended.
	isEvident bool
	offset    []wit.OffsetEntry
	// originals are the rows before the load, state the rows that changes have left, by their encoded keys.
	originals  []row
	state      map[string]int
	isFinished bool
	// hasChanges means that changes were read to their end.
	hasChanges bool
}

const failed = "failed"

// maxRequests ends loads that do not end by themselves.
const maxRequests = 200

var errEndless = errors.New("the load does not end")

// read reads a service to its end, and after that once more if the description has two loads.
func (r *reader) read(s *service) result {
	r.feed.Paging.Top = 0
	r.feed.Paging.LastRows = s.page
	if s.description[pagingMode] == "top" {
		r.feed.Paging.Top = s.page
	}
	loaded := r.load(s, nil)
	if s.description[loadCount] == "one" || loaded.err != nil {
		return loaded
	}
	s.resize()
	s.deleted = map[int]bool{}
	s.shown = map[int]bool{}
	s.requests = nil
	return r.load(s, loaded.offset)
}

// load reads a service from the end of an earlier load on, or from the start.
func (r *reader) load(s *service, previous []wit.OffsetEntry) result {
	loaded := result{arrived: map[int]int{}, offset: previous, originals: slices.Clone(s.stored),
		state: map[string]int{}}
	if r.feed.Tracking.On {
		loaded.err = r.track(s, &loaded)
	} else {
		loaded.err = r.readSet(s, &loaded)
	}
	if loaded.err != nil {
		loaded.verdict = failed
	}
	if !loaded.isFinished {
		loaded.finish(s)
	}
	return loaded
}

// finish evaluates a load after its last request.
func (r *result) finish(s *service) {
	r.isFinished = true
	r.requests = s.requests
	r.missing = s.missing(r.originals, r.arrived)
	r.isEvident = slices.ContainsFunc(r.missing, func(id int) bool { return s.isEvident(id, r.arrived) })
	for _, times := range r.arrived {
		if times > 1 {
			r.doubled++
		}
	}
}

// readSet reads the whole set.
func (r *reader) readSet(s *service, loaded *result) error {
	feed := r.feed
	position, err := paging.Read(loaded.offset)
	if err != nil {
		return err
	}
	if position == nil {
		position = feed.Paging.First(now)
	} else {
		position = feed.Paging.FirstAfter(position, now)
	}
	loaded.offset = position.Fields()
	for attempts := 0; ; {
		if position, err = paging.Read(loaded.offset); err != nil {
			return err
		}
		if done, _ := position.Done(); done {
			loaded.verdict = position.Verdict()
			return nil
		}
		if len(s.requests) > maxRequests {
			return errEndless
		}
		target, _ := feed.Paging.Request(position)
		answer := s.get(target)
		page, err := feedreader.BeginPage(&r.pool, r.context, feed, loaded.offset, answer.head(target, s.wire))
		if err != nil {
			return err
		}
		decoded, _, err := page.Decode("", uint16(answer.status), []byte(answer.body), true)
		if err == nil {
			loaded.add(&decoded, false)
			loaded.offset = *decoded.Next
		}
		r.pool.End(page.Base(), err == nil)
		var failure *wit.Error
		switch isTransient := errors.As(err, &failure) && failure.Kind == wit.ErrorTransient; {
		case isTransient && attempts < 3:
			attempts++
		case err != nil:
			return err
		default:
			attempts = 0
		}
	}
}

func (r *response) head(target string, w *wire) *wit.Response {
	head := &wit.Response{Status: uint16(r.status), Target: target, ReceivedAt: now}
	if !r.isHTML {
		head.Headers = []wit.Header{w.version, {Name: "preference-applied", Value: "odata.track-changes"}}
	}
	return head
}

// add records the rows of a decoded page, and its undecodable rows. isOptional means that values may be null,
// as in delta mode.
func (r *result) add(decoded *wit.DecodeResult, isOptional bool) {
	for i := range decoded.Rows {
		key := decoded.Rows[i].Key
		keyText := string(decoded.Data[key.Start : key.Start+key.Size])
		value := decoded.Rows[i].Value
		if value.Encoding == wit.Absent {
			delete(r.state, keyText)
			continue
		}
		data := decoded.Data[value.Start : value.Start+value.Size]
		if isOptional {
			_, size := binary.Varint(data)
			data = data[size:]
		}
		id, _ := binary.Varint(data)
		r.arrived[int(id)]++
		if isOptional {
			r.state[keyText] = int(id)
		}
	}
	for i := range decoded.Errors {
		rowError := &decoded.Errors[i]
		var id int
		_, text, _ := strings.Cut(string(decoded.Data[rowError.RawStart:rowError.RawStart+rowError.RawSize]),
			"no number ")
		fmt.Sscanf(text, "%d", &id)
		r.arrived[id]++
	}
}

// polls is the number of times that changes are requested after a load of v4.
const polls = 4

// track reads the set once, and requests the changes that follow.
func (r *reader) track(s *service, loaded *result) error {
	set := delta.Set{Feed: r.feed}
	reason := wit.PollReason{Start: wit.Set}
	poll := 0
	for attempts := 0; ; {
		if len(s.requests) > maxRequests {
			return errEndless
		}
		action, err := set.Next(loaded.offset, reason, now)
		if err != nil || action.Fetch == nil {
			return err
		}
		target := action.Fetch.Request.Target
		answer := s.get(target)
		page, err := delta.Begin(&r.pool, r.context, r.feed, *action.Fetch.Position, answer.head(target, s.wire))
		if err != nil {
			return err
		}
		isMore, err := r.decodeTracked(s, page, &answer, loaded)
		r.pool.End(page.Base(), err == nil)
		var failure *wit.Error
		switch isTransient := errors.As(err, &failure) && failure.Kind == wit.ErrorTransient; {
		case isTransient && attempts < 3:
			attempts++
			continue
		case err != nil:
			return err
		}
		attempts = 0
		if s.wire == v2Wire && strings.Contains(target, "deltatoken=") {
			return nil // changes do not make up for rows that the load lacks
		}
		if poll == 0 {
			loaded.verdict = paging.LookupText(loaded.offset, "complete")
		}
		reason = wit.PollReason{More: wit.Set}
		if isMore {
			continue
		}
		reason = wit.PollReason{Poll: wit.Set}
		if s.wire == v2Wire {
			continue
		}
		if poll == 0 {
			loaded.finish(s)
		}
		poll++
		loaded.hasChanges = poll > polls
		if loaded.hasChanges {
			return nil
		}
		s.changeAfterLoad(poll)
	}
}

// decodeTracked decodes an answer in delta mode, and the answers to the requests to which it leads.
func (r *reader) decodeTracked(s *service, page *delta.Page, answer *response,
	loaded *result) (isMore bool, err error) {
	pending := []wit.LinkedRequest{{}}
	for len(pending) > 0 {
		request := pending[0].Request
		if request.Target != "" {
			*answer = s.get(request.Target)
		}
		decoded, _, err := page.Decode(request.Tag, uint16(answer.status), []byte(answer.body), true)
		if err != nil {
			return false, err
		}
		pending = append(pending[1:], decoded.Linked...)
		loaded.add(&decoded, true)
		if decoded.Next != nil {
			loaded.offset = *decoded.Next
		}
		isMore = isMore || decoded.More
	}
	return isMore, nil
}
