package requests

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Steps of a row that needs several requests. The first request of a row has no step.
const (
	// StepConfirm reads an entity whose DELETE was answered 412, to see whether it is deleted.
	StepConfirm = "confirm"
	StepInsert  = "insert"
	StepUpdate  = "update"
)

// Hint tells how to encode a row again. The host stores its text.
type Hint struct {
	Step string
	// MaxBatchSize limits the operations of the batch. Zero means no limit.
	OwnChangeset, NoBatch bool
	MaxBatchSize          int
	StoppedBatches        int
	// ProbeSet reads any entity of the set, because the address was rejected. SetReadable: this worked.
	ProbeSet, SetReadable bool
	// NoIfMatch leaves out If-Match although it is configured.
	NoIfMatch bool
	// NotFoundStatus is the status of an update that found no entity after an insert had found one. Zero means none.
	NotFoundStatus int
	// SentByOther: another worker may have sent the row with another RequestID, see [wit.HintMoved].
	SentByOther bool
	Known       wit.Known
	// ETag is valid if HasETag is true. It is "" if the entity has no ETag.
	HasETag bool
	ETag    string
}

// The ETag is the last word, because it may contain blanks.
const etagWord = "etag="

type hintWord struct {
	name   string
	flag   func(*Hint) *bool
	number func(*Hint) *int
}

var hintWords = []hintWord{
	{"alone", func(h *Hint) *bool { return &h.OwnChangeset }, nil},
	{"single", func(h *Hint) *bool { return &h.NoBatch }, nil},
	{"most", nil, func(h *Hint) *int { return &h.MaxBatchSize }},
	{"stops", nil, func(h *Hint) *int { return &h.StoppedBatches }},
	{"address", func(h *Hint) *bool { return &h.ProbeSet }, nil},
	{"addressed", func(h *Hint) *bool { return &h.SetReadable }, nil},
	{"bare", func(h *Hint) *bool { return &h.NoIfMatch }, nil},
	{"gone", nil, func(h *Hint) *int { return &h.NotFoundStatus }},
	{wit.HintMoved, func(h *Hint) *bool { return &h.SentByOther }, nil},
}

// Text encodes the hint.
func (h Hint) Text() string {
	if h == (Hint{}) {
		return ""
	}
	var words []string
	for _, word := range hintWords {
		switch {
		case word.flag != nil && *word.flag(&h):
			words = append(words, word.name)
		case word.number != nil && *word.number(&h) > 0:
			words = append(words, word.name+"="+strconv.Itoa(*word.number(&h)))
		}
	}
	if h.Known != "" {
		words = append(words, wit.HintKnown+string(h.Known))
	}
	if h.Step != "" {
		words = append(words, h.Step)
	}
	if h.HasETag {
		words = append(words, etagWord+h.ETag)
	}
	return strings.Join(words, " ")
}

func parseHint(text string) (hint Hint) {
	for text != "" {
		if tag, ok := strings.CutPrefix(text, etagWord); ok {
			hint.HasETag, hint.ETag = true, tag
			return hint
		}
		var word string
		word, text, _ = strings.Cut(text, " ")
		if known, ok := strings.CutPrefix(word, wit.HintKnown); ok {
			hint.Known = wit.Known(known)
			continue
		}
		name, number, _ := strings.Cut(word, "=")
		at := slices.IndexFunc(hintWords, func(w hintWord) bool { return w.name == name })
		switch {
		case at < 0:
			hint.Step = word
		case hintWords[at].flag != nil:
			*hintWords[at].flag(&hint) = true
		default:
			*hintWords[at].number(&hint), _ = strconv.Atoi(number)
		}
	}
	return hint
}

// ForStep returns the hint for another step, without the ETag.
func (h Hint) ForStep(step string) Hint {
	h.Step, h.HasETag, h.ETag = step, false, ""
	return h
}

func (h Hint) isUncertain() bool { return h.Step == wit.HintUncertain }
