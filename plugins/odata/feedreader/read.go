package feedreader

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/wit"
)

// DecodePage decodes a chunk, of the page or of a linked response with a status. The first result reports that there
// are no rows yet, or that they wait for metadata.
func (r *Reader) DecodePage(tag string, status uint16, b []byte, last bool, out *wit.DecodeResult) (bool, error) {
	switch {
	case tag != "" && slices.Contains(odataerror.RouterStatuses, status):
		r.CollectBody(b)
		if !last {
			return true, nil
		}
		return false, r.LinkedError(r.Label(), status, r.Body)
	case r.Response.Status == 204:
		return false, &wit.Error{Kind: wit.ErrorData, Message: r.Label() + ": HTTP 204 (No Content) in response to " +
			"a feed: expected a feed, which may be empty"}
	case !r.isUTF8(b):
		return false, &wit.Error{Kind: wit.ErrorData, Message: r.Label() + ": expected text in UTF-8, found " +
			strconv.Quote(r.charset) + " in the response's Content-Type"}
	case r.Decoder == nil && !r.ChooseDecoder(b, last):
		return true, nil
	}
	r.Ended = r.Ended || tag == "" && last
	return r.DecodeChunk(r.Decoder, &r.Out, Chunk{"", tag, b, last}, out)
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

// ApplyFilter checks that rows match the filter and removes what was read only for the check.
func (r *Reader) ApplyFilter() error {
	if !r.Single && r.guidCase == 0 {
		r.guidCase = r.Feed.guidCaseOf(&r.Out)
	}
	if f := r.Feed.Rows.Check(&r.Out, r.Exempt); f != nil {
		f.Message = r.Label() + ": " + f.Message
		return f
	}
	return r.Rewrite(&r.Out)
}

// RequestNested requests further pages of expanded collections.
func (r *Reader) RequestNested(result *wit.DecodeResult) error {
	for _, follow := range r.Out.NestedPages {
		target, err := r.Resolve(follow.Link)
		if err != nil {
			return err
		}
		result.Linked = append(result.Linked, wit.LinkedRequest{Request: r.Feed.Request(follow.Tag, target),
			Tolerate: odataerror.RouterStatuses})
	}
	return nil
}

// Finalize adds the offset fields that all pages share, and the partition of rows.
func (r *Reader) Finalize(result *wit.DecodeResult) {
	if result.Next != nil && r.guidCase != 0 {
		next := append(slices.Clone(*result.Next), wit.StringEntry(GuidField, string(r.guidCase)))
		result.Next = &next
	}
	result.Next = WithFormat(r.FormatRefused, result.Next)
	if to := r.Feed.TopicPartition; to >= 0 {
		for i := range result.Rows {
			result.Rows[i].Partition = int32(to)
		}
	}
}
