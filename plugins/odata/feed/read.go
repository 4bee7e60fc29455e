package feed

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Read makes rows of a piece, those that were asked for. waits: there are none yet, or they wait for metadata.
func (r *Reader) Read(tag string, piece []byte, last bool, portion *wit.DecodeResult) (waits bool, err error) {
	switch {
	case r.Answer.Status == 204:
		return false, &wit.Error{Kind: wit.ErrorData, Message: r.What() + ": HTTP 204 (No Content) in answer to a " +
			"feed: expected rows, or a feed without any"}
	case !r.isUTF8(piece):
		return false, &wit.Error{Kind: wit.ErrorData, Message: r.What() + ": expected text in UTF-8, found " +
			strconv.Quote(r.charset) + " in the answer's Content-Type"}
	case r.Decoder == nil && !r.Choose(piece, last):
		return true, nil
	}
	r.Ended = r.Ended || tag == "" && last
	return r.Take(r.Decoder, &r.Out, Part{"", tag, piece, last}, portion)
}

// isUTF8 reports whether a piece is in UTF-8 by the answer's header: by its encoding, or as ASCII in one that is the
// same there, as in what servlets name where nobody chose.
func (r *Reader) isUTF8(piece []byte) bool {
	if slices.Contains([]string{"", "utf-8", "utf8", "us-ascii"}, r.charset) {
		return true
	}
	return slices.ContainsFunc([]string{"iso-8859-", "latin", "windows-125", "cp125"}, func(name string) bool {
		return strings.HasPrefix(r.charset, name)
	}) && !slices.ContainsFunc(piece, func(b byte) bool { return b > 0x7f })
}

// Filtered looks whether the rows are those that were asked for, and takes out of them what the connector itself leaves
// out.
func (r *Reader) Filtered() error {
	if !r.Single && r.guidCase == 0 {
		r.guidCase = r.Feed.caseIn(&r.Out)
	}
	if f := r.Feed.Rows.Check(&r.Out, r.Exempt); f != nil {
		f.Message = r.What() + ": " + f.Message
		return f
	}
	return r.Rewrite(&r.Out)
}

// Followed has further pages of expanded feeds asked for.
func (r *Reader) Followed(portion *wit.DecodeResult) error {
	for _, follow := range r.Out.NestedPages {
		target, err := r.Resolve(follow.Link)
		if err != nil {
			return err
		}
		portion.Linked = append(portion.Linked, wit.LinkedRequest{Request: r.Feed.Request(follow.Tag, target)})
	}
	return nil
}

// Seal puts into a portion what all of a feed's have: the offset's fields that are carried from page to page, and the
// partition.
func (r *Reader) Seal(portion *wit.DecodeResult) {
	if portion.Next != nil && r.guidCase != 0 {
		next := append(slices.Clone(*portion.Next), wit.StringEntry(GuidField, string(r.guidCase)))
		portion.Next = &next
	}
	portion.Next = WithFormat(r.Unformatted, portion.Next)
	if to := r.Feed.ToPartition; to >= 0 {
		for i := range portion.Rows {
			portion.Rows[i].Partition = int32(to)
		}
	}
}
