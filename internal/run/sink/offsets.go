package sink

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

type topicPartition struct {
	topic     string
	partition int32
}

type recordID struct {
	topic     string
	partition int32
	offset    int64
}

func idOf(r *kgo.Record) recordID { return recordID{r.Topic, r.Partition, r.Offset} }

func (r recordID) String() string { return fmt.Sprintf("%s-%d@%d", r.topic, r.partition, r.offset) }

func (r recordID) topicPartition() topicPartition { return topicPartition{r.topic, r.partition} }

// offsetRange is a range of offsets that includes both ends.
type offsetRange struct{ first, last int64 }

func (o offsetRange) String() string {
	if o.first == o.last {
		return strconv.FormatInt(o.first, 10)
	}
	return strconv.FormatInt(o.first, 10) + "-" + strconv.FormatInt(o.last, 10)
}

func parseOffsetRange(text string) (s offsetRange, ok bool) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	var err1, err2 error
	s.first, err1 = strconv.ParseInt(first, 10, 64)
	s.last, err2 = strconv.ParseInt(last, 10, 64)
	return s, err1 == nil && err2 == nil && s.first >= 0 && s.last >= s.first
}

// mergeRanges sorts ranges and merges the ones that overlap or touch, in place.
func mergeRanges(ranges []offsetRange) []offsetRange {
	slices.SortFunc(ranges, func(a, b offsetRange) int { return cmp.Compare(a.first, b.first) })
	out := ranges[:0]
	for _, s := range ranges {
		if n := len(out); n > 0 && s.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, s.last)
		} else {
			out = append(out, s)
		}
	}
	return out
}

func containsRange(ranges []offsetRange, s offsetRange) bool {
	return slices.ContainsFunc(ranges, func(r offsetRange) bool { return r.first <= s.first && s.last <= r.last })
}

// containsSorted is containsRange for sorted ranges that do not overlap.
func containsSorted(ranges []offsetRange, s offsetRange) bool {
	n, ok := slices.BinarySearchFunc(ranges, s.first, func(r offsetRange, first int64) int {
		return cmp.Compare(r.first, first)
	})
	if !ok {
		n--
	}
	return n >= 0 && s.last <= ranges[n].last
}

// gaps returns the parts of a range that no other range covers. It sorts the other ranges in place.
func gaps(remaining offsetRange, others []offsetRange) (missing []offsetRange) {
	slices.SortFunc(others, func(a, b offsetRange) int { return cmp.Compare(a.first, b.first) })
	for _, o := range others {
		if o.first > remaining.first && remaining.first <= remaining.last {
			missing = append(missing, offsetRange{remaining.first, min(o.first-1, remaining.last)})
		}
		remaining.first = max(remaining.first, o.last+1)
	}
	if remaining.first <= remaining.last {
		missing = append(missing, remaining)
	}
	return missing
}

// searchRanges returns the index of the first sorted range that does not end before an offset.
func searchRanges(ranges []offsetRange, offset int64) int {
	n, _ := slices.BinarySearchFunc(ranges, offset, func(r offsetRange, offset int64) int {
		return cmp.Compare(r.last, offset)
	})
	return n
}

func rangesFrom(ranges []offsetRange, next int64) []offsetRange {
	out := slices.Clone(ranges[searchRanges(ranges, next):])
	if len(out) > 0 {
		out[0].first = max(out[0].first, next)
	}
	return out
}

// addOffset adds an offset to sorted ranges that do not touch.
func addOffset(ranges []offsetRange, offset int64) []offsetRange {
	n := searchRanges(ranges, offset-1)
	switch {
	case n < len(ranges) && ranges[n].first <= offset && offset <= ranges[n].last: // contained
	case n < len(ranges) && ranges[n].last == offset-1:
		ranges[n].last = offset
		if n+1 < len(ranges) && ranges[n+1].first == offset+1 {
			ranges[n].last = ranges[n+1].last
			ranges = slices.Delete(ranges, n+1, n+2)
		}
	case n < len(ranges) && ranges[n].first == offset+1:
		ranges[n].first = offset
	default:
		ranges = slices.Insert(ranges, n, offsetRange{offset, offset})
	}
	return ranges
}

// removeOffset removes an offset from sorted ranges, and splits the range that contains it.
func removeOffset(ranges []offsetRange, offset int64) []offsetRange {
	n := searchRanges(ranges, offset)
	if n == len(ranges) || ranges[n].first > offset {
		return ranges
	}
	split := ranges[n]
	pieces := []offsetRange{{split.first, offset - 1}, {offset + 1, split.last}}
	return slices.Replace(ranges, n, n+1, slices.DeleteFunc(pieces,
		func(s offsetRange) bool { return s.first > s.last })...)
}
