package guest

import (
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
)

// The results of encode and handle-response are lowered without reflection, which took a third of an encode. This code
// is written by hand, not generated: a generator would be longer, and plugins are built without make. A test compares
// it with package canon, so that the test fails when the contract changes.
//
// All values in these results are aligned to 4 and no small ones are neighbours, so that a record is a list of words: a
// string or list is an address and a length, an option or variant a case and its payload. Texts and numbers stay where
// the plugin made them.

// words is a part of a result in memory.
type words []uint32

// Sizes in words.
const (
	headerWords   = 4
	errorWords    = 12
	deliveryWords = 20
	rowErrorWords = 6 + errorWords
	retryWords    = 4 + errorWords
	// A result is a case, and the larger payload: the error's.
	resultWords    = 1 + errorWords
	rowResultWords = 1 + retryWords
)

// newWords returns memory for n words, to which they must be appended.
func (a *arena) newWords(n int) words {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(a.alloc(4*n)))), n)[:0]
}

func (w words) address() uint32 {
	return address(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), 4*len(w)))
}

// zeros appends zeros up to a number of words.
func (w words) zeros(size int) words {
	for len(w) < size {
		w = append(w, 0)
	}
	return w
}

func (w words) bytes(b []byte) words { return append(w, address(b), uint32(len(b))) }

func (w words) numbers(list []uint32) words {
	return append(w, words(list).address(), uint32(len(list)))
}

// text appends a string. Like package canon it replaces invalid UTF-8, because the host rejects it.
func (w words) text(s string) words {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
		valid := results.alloc(len(s))
		copy(valid, s)
		return w.bytes(valid)
	}
	return w.bytes(unsafe.Slice(unsafe.StringData(s), len(s)))
}

func (w words) optionalText(s *string) words {
	if s == nil {
		return append(w, 0, 0, 0)
	}
	return append(w, 1).text(*s)
}

// list appends a list of records of a size in words.
func list[T any](w words, items []T, size int, lower func(words, *T) words) words {
	if len(items) == 0 {
		return append(w, 0, 0)
	}
	records := results.newWords(size * len(items))
	for i := range items {
		records = lower(records, &items[i])
	}
	return append(w, records.address(), uint32(len(items)))
}

func (w words) header(h *wit.Header) words { return w.text(h.Name).text(h.Value) }

func (w words) failure(f *wit.Error) words {
	w = append(w, uint32(f.Kind)).text(f.Message)
	return w.optionalText(f.Setting).optionalText(f.Code).optionalText(f.Detail)
}

func (w words) delivery(d *wit.Delivery) words {
	r := &d.Request
	w = w.text(r.Tag).text(r.Method).text(r.Target)
	w = list(w, r.Headers, headerWords, words.header).bytes(r.Body)
	w = append(w, 0)
	if r.Repeatable {
		w[len(w)-1] = 1
	}
	w = w.optionalText(r.TokenPath)
	if r.FirstByteTimeoutMs == nil {
		w = append(w, 0, 0)
	} else {
		w = append(w, 1, *r.FirstByteTimeoutMs)
	}
	return append(w.numbers(d.Rows).bytes(d.State), d.OrderingKey)
}

func (w words) rowError(e *wit.RowError) words {
	w = append(w, e.RowIndex, e.Stage).text(e.ErrorClass).failure(&e.Error)
	return append(w, e.RawStart, e.RawSize)
}

func (w words) rowResult(r *wit.RowResult) words {
	end := len(w) + rowResultWords
	switch {
	case r.Written != nil:
		w = append(w, 0)
	case r.Rejected != nil:
		w = append(w, 1).failure(r.Rejected)
	default:
		w = append(w, 2).text(r.Retry.Hint)
		if r.Retry.Error == nil {
			w = append(w, 0).zeros(end - 1)
		} else {
			w = append(w, 1).failure(r.Retry.Error)
		}
		w = append(w, r.Retry.WaitMs)
	}
	return w.zeros(end)
}

// lowerEncode lowers the result of encode. ok is false for values that are not in the contract.
func lowerEncode(e *wit.EncodeResult) (result words, ok bool) {
	for i := range e.Rejected {
		if !isKind(&e.Rejected[i].Error) {
			return nil, false
		}
	}
	result = append(results.newWords(resultWords), 0)
	result = list(result, e.Ready, deliveryWords, words.delivery)
	result = list(result, e.Rejected, rowErrorWords, words.rowError)
	return result.numbers(e.Ignored).zeros(resultWords), true
}

// lowerResponse is [lowerEncode] for handle-response.
func lowerResponse(r *wit.ResponseResult) (result words, ok bool) {
	for i := range r.Results {
		if !isRowResult(&r.Results[i]) {
			return nil, false
		}
	}
	result = list(append(results.newWords(resultWords), 0), r.Results, rowResultWords, words.rowResult)
	if r.Context != nil {
		result = append(result, 1).bytes(*r.Context)
	}
	return result.zeros(resultWords), true
}

// isKind reports whether the contract has the kind of an error, which may be nil.
func isKind(f *wit.Error) bool { return f == nil || int(f.Kind) < f.Kind.Cases() }

// isRowResult reports whether one case is set, and the contract has its values.
func isRowResult(r *wit.RowResult) bool {
	setCases := 0
	for _, isSet := range [...]bool{r.Written != nil, r.Rejected != nil, r.Retry != nil} {
		if isSet {
			setCases++
		}
	}
	return setCases == 1 && isKind(r.Rejected) && (r.Retry == nil || isKind(r.Retry.Error))
}
