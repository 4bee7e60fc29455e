package feedreader

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// DecodePage decodes a chunk into r.Out, of the page or, with a tag, of a linked response. waits means that there are
// no rows yet, or that they wait for metadata.
func (r *Reader) DecodePage(tag string, status uint16, chunk []byte, isLast bool,
	out *wit.DecodeResult) (waits bool, err error) {
	switch {
	case tag != "" && slices.Contains(odataerror.RouterStatuses, status):
		r.CollectBody(chunk)
		if !isLast {
			return true, nil
		}
		return false, r.LinkedError(r.Label(), status, r.Body)
	case r.Response.Status == 204:
		return false, &wit.Error{Kind: wit.ErrorData, Message: r.Label() + ": HTTP 204 (No Content) in response to " +
			"a feed: expected a feed, which may be empty"}
	case !r.isUTF8(chunk):
		return false, &wit.Error{Kind: wit.ErrorData, Message: r.Label() + ": expected text in UTF-8, found " +
			strconv.Quote(r.charset) + " in the response's Content-Type"}
	case r.Decoder == nil && !r.ChooseDecoder(chunk, isLast):
		return true, nil
	}
	r.Ended = r.Ended || (tag == "" && isLast)
	return r.DecodeChunk(r.Decoder, &r.Out, Chunk{"", tag, chunk, isLast}, out)
}

// LinkedError returns the error of a linked request, whose headers the host does not pass on.
func (r *Reader) LinkedError(subject string, status uint16, body []byte) error {
	response := &wit.Response{Status: status, ReceivedAt: r.Response.ReceivedAt}
	failure := odataerror.FromResponse(subject, response, body)
	odataerror.MarkOutage(failure, response, body)
	return failure
}

// isUTF8 accepts charsets that servlets declare by default, as long as the text is ASCII.
func (r *Reader) isUTF8(chunk []byte) bool {
	if slices.Contains([]string{"", "utf-8", "utf8", "us-ascii"}, r.charset) {
		return true
	}
	return slices.ContainsFunc([]string{"iso-8859-", "latin", "windows-125", "cp125"}, func(name string) bool {
		return strings.HasPrefix(r.charset, name)
	}) && !slices.ContainsFunc(chunk, func(b byte) bool { return b > 0x7f })
}

// ApplyFilter checks that rows match the filter, and removes the properties that were read only for the check.
func (r *Reader) ApplyFilter() error { return r.applyFilter(nil) }

// applyFilter is [Reader.ApplyFilter] without the conditions of the settings for which isUnchecked returns true.
func (r *Reader) applyFilter(isUnchecked func(setting string) bool) error {
	if !r.Single && r.guidCase == 0 {
		r.guidCase = r.Feed.guidCaseOf(&r.Out)
	}
	if failure := r.Feed.Rows.Check(&r.Out, r.Exempt, isUnchecked); failure != nil {
		failure.Message = r.Label() + ": " + failure.Message
		return failure
	}
	return r.Rewrite(&r.Out)
}

// RequestNested requests further pages of expanded collections.
func (r *Reader) RequestNested(result *wit.DecodeResult) error {
	requests, err := r.NestedRequests(&r.Out, "", r.BaseURL)
	result.Linked = append(result.Linked, requests...)
	return err
}

// NestedRequests returns the requests for further pages of expanded collections in rows that were requested by a URL.
func (r *Reader) NestedRequests(out *decode.Output, tagPrefix, requestURL string) ([]wit.LinkedRequest, error) {
	var requests []wit.LinkedRequest
	for _, page := range out.NestedPages {
		target, err := r.Feed.ResolveNested(&r.context.Origin, page, requestURL)
		if err != nil {
			return nil, err
		}
		requests = append(requests, wit.LinkedRequest{Request: r.Feed.Request(tagPrefix+page.Tag, target),
			Tolerate: odataerror.RouterStatuses})
	}
	return requests, nil
}

// ResolveNested turns the next link of an expanded collection into a target. The rows that contain the collection were
// requested by a URL. A link with the path of that request or of the set is an error: its response would be rows of the
// set. This includes a collection of the set's own type, such as Employees?$expand=Reports. A link
// Employees?$filter=... to it would be indistinguishable from a repeated request of a service that changes or ignores
// the filter, and OData v2 and Olingo write Employees(1)/Reports.
func (f *Feed) ResolveNested(origin *uri.Origin, page decode.NestedPageRequest, requestURL string) (string, error) {
	target, err := f.Resolve(origin, page.Link, requestURL)
	if err != nil {
		return "", err
	}
	if path := pathOf(target); path != pathOf(requestURL) && path != pathOf(f.Service+"/"+f.Address) {
		return target, nil
	}
	return "", &wit.Error{Kind: wit.ErrorData, Message: f.Label() + ": row " + strconv.Itoa(int(page.Row)) +
		" of the page: the next link of the expanded " + page.Property + ", " + strconv.Quote(page.Link.Href) +
		", repeats the request for the row itself (" + pathOf(target) + "), expected a link to entities of " +
		page.Property + "; leave " + page.Property + " out of " + f.Setting(query.Expand) +
		", or read its entity set by itself"}
}

func pathOf(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return uri.Unescape(path)
}

// Finalize adds the offset fields that all pages share, and the partition of rows.
func (r *Reader) Finalize(result *wit.DecodeResult) {
	if result.Next != nil && r.guidCase != 0 {
		next := append(slices.Clone(*result.Next), wit.StringEntry(GuidField, string(r.guidCase)))
		result.Next = &next
	}
	result.Next = WithFormat(r.FormatRefused, result.Next)
	if partition := r.Feed.TopicPartition; partition >= 0 {
		for i := range result.Rows {
			result.Rows[i].Partition = int32(partition)
		}
	}
}
