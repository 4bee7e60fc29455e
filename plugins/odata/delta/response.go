package delta

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/wit"
)

// Begin starts reading a response in delta mode.
func Begin(pool *feedreader.Pool, context *feedreader.Context, feed *feedreader.Feed, position []wit.OffsetEntry,
	response *wit.Response) (*Page, error) {
	current, err := readPhase(position)
	if err != nil {
		return nil, err
	}
	if current == nil {
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "a page with an empty position"}
	}
	isFormatRefused := feedreader.FormatRefused(position)
	feed.SetFormatRefused(isFormatRefused)
	page := &Page{Reader: pool.Begin(context, feed, response, feedreader.GuidCase(position)), phase: current,
		rows: newPageRows()}
	page.Exempt = page.exempt()
	page.Options.Partial = page.readsChanges()
	page.FormatRefused = isFormatRefused
	for _, name := range []string{"Date", "Location", "Retry-After"} {
		if headerValue := feedreader.HeaderValue(response.Headers, name); headerValue != "" {
			page.headers = append(page.headers, wit.Header{Name: name, Value: strings.Clone(headerValue)})
		}
	}
	switch current := current.(type) {
	case *subscribing:
		if current.step == stepExtract { // the job exists: further requests start no other
			page.phase = &loading{common: current.common, url: current.url,
				applied: page.set().confirmsTracking(response.Headers)}
			page.rows.markers.Snapshot = current.snapshot
			page.firstExtraction = true
		}
	case *loading:
		current.applied = current.applied || page.set().confirmsTracking(response.Headers)
		*page.rows.markers = feedreader.SnapshotMarkers{Snapshot: current.snapshot, Started: current.continued}
	case *readingSnapshot:
		if err := page.beginSnapshotPage(feed, current, pool, context, response); err != nil {
			return nil, err
		}
	case *comparing:
		keys, err := feed.KeysOnly()
		if err == nil {
			err = page.beginSnapshotPage(keys, &current.readingSnapshot, pool, context, response)
		}
		if err != nil {
			return nil, err
		}
	}
	if page.BaseURL == "" {
		page.BaseURL = current.target()
	}
	return page, nil
}

// BeginDocument starts reading the document of one row from a dead letter.
func BeginDocument(pool *feedreader.Pool, context *feedreader.Context, feed *feedreader.Feed,
	response *wit.Response) *Page {
	guids := feedreader.HeaderValue(response.Headers, wit.OffsetHeader+feedreader.GuidField)
	page := &Page{Reader: pool.Begin(context, feed, response, guids), phase: &loading{}, rows: newPageRows(),
		deadLetter: true}
	page.Exempt = page.exempt()
	page.Single = true
	if page.BaseURL == "" {
		page.BaseURL = feed.Service + "/" + feed.Address
	}
	return page
}

// confirmsTracking reports whether a response confirms change tracking, by one of the dialect's preferences.
func (s Set) confirmsTracking(headers []wit.Header) bool {
	for _, h := range headers {
		if !strings.EqualFold(h.Name, "Preference-Applied") {
			continue
		}
		for part := range strings.SplitSeq(h.Value, ",") {
			isPart := func(preference string) bool { return strings.EqualFold(strings.TrimSpace(part), preference) }
			if slices.ContainsFunc(strings.Split(s.Dialect.TrackChanges, ","), isPart) {
				return true
			}
		}
	}
	return false
}

// Decode decodes a chunk of the response, or of a response to a linked request with this tag. ended is true if the page
// is complete or failed.
func (pg *Page) Decode(tag string, status uint16, chunk []byte,
	last bool) (result wit.DecodeResult, ended bool, err error) {
	if strings.HasPrefix(tag, rereadTag) {
		result, needsMore, err := pg.reread(tag, status, chunk, last)
		if needsMore || err != nil {
			return result, err != nil, err
		}
		ended, err = pg.endPage(&result)
		return result, ended, err
	}
	pageStatus := pg.Response.Status
	hasRows := pg.deadLetter
	switch current := pg.phase.(type) {
	case *readingSnapshot:
		return pg.decodeSnapshotPage(current, tag, status, chunk, last)
	case *comparing:
		return pg.decodeKeys(current, tag, status, chunk, last)
	case *loading, *readingHidden, *readingChanges:
		hasRows = hasRows || (pageStatus >= 200 && pageStatus <= 299 && pageStatus != 202)
	}
	if tag == "" && !hasRows {
		return pg.collectResponse(chunk, last)
	}
	if needsMore, err := pg.DecodePage(tag, status, chunk, last, &result); needsMore || err != nil {
		return result, err != nil, err
	}
	if err := pg.ApplyFilter(); err != nil {
		return result, true, err
	}
	if err := pg.addRows(&result); err != nil {
		return wit.DecodeResult{}, true, err
	}
	if err := pg.RequestNested(&result); err != nil {
		return wit.DecodeResult{}, true, err
	}
	ended, err = pg.endPage(&result)
	return result, ended, err
}

// endPage sets the next offset in the result if all rows were read, and all entities that had to be read again.
func (pg *Page) endPage(result *wit.DecodeResult) (ended bool, err error) {
	switch {
	case len(pg.rows.rereads.pending) > 0, !pg.Ended, !pg.Out.Page.Done:
		return false, nil
	case pg.deadLetter:
		return true, nil
	}
	next, err := pg.afterRows()
	if err != nil {
		return true, err
	}
	pg.flushMarkers(result, next)
	pg.continueWith(result, next)
	return true, nil
}

// collectResponse collects a response without rows: an error, of which it keeps the start, a 202, or a document of an
// ODP service.
func (pg *Page) collectResponse(chunk []byte, last bool) (result wit.DecodeResult, ended bool, err error) {
	const maxDocument = 4 * feedreader.MaxErrorBody // bytes
	remaining := maxDocument - len(pg.Body)
	if pg.Response.Status < 300 && len(chunk) > remaining {
		return result, true, &wit.Error{Kind: wit.ErrorData, Message: pg.Label() + ": expected at most " +
			strconv.Itoa(maxDocument) + " bytes in response to " + pg.phase.target() + ", found more"}
	}
	pg.Body = append(pg.Body, chunk[:min(len(chunk), remaining)]...)
	if !last {
		return result, false, nil
	}
	var next phase
	var wait time.Duration
	switch {
	case pg.Response.Status == 202:
		next, wait, err = pg.afterAccepted()
	case pg.Response.Status < 200 || pg.Response.Status > 299:
		next, err = pg.afterError()
	case odataerror.IsHTML(pg.Body) || len(pg.Body) == 0:
		err = odataerror.NotData(pg.Label()+": "+pg.phase.target(), "a response in JSON or XML", pg.Body)
	default:
		next, wait, err = pg.afterODPResponse()
	}
	if err != nil {
		return result, true, err
	}
	pg.continueWith(&result, next)
	result.WaitMs = uint32(wait.Milliseconds())
	return result, true, nil
}
